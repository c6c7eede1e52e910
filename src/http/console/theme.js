// Runs before the first paint, and so is no module: a dark page must not flash white.
try {
  const chosen = localStorage.getItem("portolan.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be forbidden; then the system's theme holds.
}
