//! What was approved in curated manifests, and what becomes of a server that was added by one.

use std::sync::LazyLock;

use serde_json::value::RawValue;

use super::definition::Manifest;
use super::error::Error;
use super::lock::{Locked, indented};
use super::look::Look;
use super::records::{Records, Sight};
use super::version::FIRST;
use crate::curated::{Curated, Meta, Written};
use crate::domain::{ServerSpec, raw};
use crate::store::{ReleaseHead, ReleaseState};
use crate::upstream::{self, Code};

/// A curated manifest, and what was approved in it.
struct Reviewed {
    curated: &'static Curated,
    digest: String,
    manifest: Manifest,
}

static ALL: LazyLock<Vec<Reviewed>> = LazyLock::new(|| Curated::all().iter().filter_map(Reviewed::read).collect());

impl Reviewed {
    fn read(curated: &'static Curated) -> Option<Self> {
        let manifest = approved(&curated.written)?.manifest();
        Some(Self { curated, digest: manifest.digest().to_string(), manifest })
    }

    /// The manifest that a server was added by.
    fn of(spec: &ServerSpec) -> Option<&'static Self> {
        let id = spec.curated.as_ref()?;
        ALL.iter().find(|one| one.curated.id() == *id)
    }
}

/// What was approved in a curated manifest; nothing where that does not fit its digest.
pub fn approved(written: &Written) -> Option<Locked> {
    serde_json::from_str::<Locked>(written.meta.release.get()).ok().filter(Locked::is_whole)
}

/// The text of a curated manifest: a line for each member, as in a lock file.
pub fn manifest_text(server: &RawValue, release: &Locked) -> String {
    let written = Written { server: server.to_owned(), meta: Meta { release: raw(release) } };
    format!("{}\n", indented(raw(&written).get()))
}

/// The curated manifest of a release: whoever offers exactly that, by that code, is what was reviewed.
pub fn curated_as(digest: &str) -> Option<&'static Curated> {
    ALL.iter().find(|one| one.digest == digest).map(|one| one.curated)
}

/// How the version of a server's curated manifest is run, once its registry says that it holds what was reviewed.
pub async fn resolve(spec: &ServerSpec) -> Result<(ServerSpec, Code), upstream::Error> {
    let refused = |why: String| Err(upstream::Error::Unresolved(why));
    let id = spec.curated.as_deref().unwrap_or_default();
    let Some(known) = Reviewed::of(spec).and_then(|one| one.manifest.code()) else {
        return refused(format!("this version of Portolan has no curated manifest {id}; remove the server and add it again"));
    };
    let (package, version) = (&known.package, &known.version);
    let Some(runs) = known.run_by(spec) else { return refused(format!("its command does not run {package}, of which {id} is")) };
    match Code::resolve(&runs).await {
        Some(Ok(found)) if is_of(&found, &known) => Ok((runs, known)),
        Some(Ok(found)) => {
            let of = |code: &Code| if code.integrity.is_empty() { "nothing".to_owned() } else { code.integrity.join(" ") };
            refused(format!(
                "{package} {version} is not what was reviewed, and is not run: its registry says that it holds {}, and the curated manifest {id} says {}; \
                 find out which registry is asked and why it differs",
                of(&found),
                of(&known)
            ))
        }
        Some(Err(why)) => refused(format!("whether {package} {version} is what was reviewed is not known: {why}")),
        None => refused(format!("its command does not run {package}, of which {id} is")),
    }
}

/// Whether all that a registry has of a version was reviewed. A mirror may have less of it than there is, and then no more can be run.
fn is_of(found: &Code, known: &Code) -> bool {
    let all = !found.integrity.is_empty() && found.integrity.iter().all(|one| known.integrity.contains(one));
    all && (found.runner, &found.package, &found.version) == (known.runner, &known.package, &known.version)
}

impl Records {
    /// Takes the curated manifest that a server was added by for its first release: a person has reviewed it. The look at the server
    /// says how that ends where it offers just that; all else is a change of it.
    pub(super) async fn adopt(&self, sight: &Sight<'_>, heads: &[ReleaseHead]) -> Result<Option<Look>, Error> {
        let Some(reviewed) = Reviewed::of(sight.spec).filter(|_| !sight.spec.starts_held) else { return Ok(None) };
        let same = sight.manifest.digest().to_string() == reviewed.digest;
        let manifest = if same { sight.manifest.clone() } else { reviewed.manifest.clone() };
        let before = heads.iter().find(|head| head.digest == reviewed.digest);
        // What somebody refused here stays refused; and which other servers there are nobody knew who reviewed it.
        if before.is_some_and(|head| head.state == ReleaseState::Rejected) || self.is_taken_for_others(&sight.spec.name, &manifest) {
            return Ok(None);
        }
        let by = format!("the curated manifest {}", reviewed.curated.id());
        let look = self.accept(Sight { spec: sight.spec, era: sight.era, manifest, by: sight.by }, before, FIRST, &by).await?;
        Ok(Some(look).filter(|_| same))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Kind;

    #[test]
    fn every_curated_manifest_is_whole_and_pins_the_code_that_its_server_json_names() {
        assert_eq!(ALL.len(), Curated::all().len());
        assert!(ALL.len() >= 10, "{}", ALL.len());
        for one in ALL.iter() {
            let (server, locked) = (&one.curated.server, approved(&one.curated.written).unwrap());
            let (package, code) = (server.package().unwrap(), one.manifest.code().unwrap());
            assert_eq!(
                (&package.identifier, &package.version, &server.version),
                (&code.package, &code.version, &code.version),
                "{}",
                server.name
            );
            assert!(!code.integrity.is_empty() && one.manifest.of(Kind::Tool).count() > 0, "{}", server.name);
            assert_eq!(locked.release, FIRST, "{}", server.name);
        }
    }

    #[test]
    fn every_curated_manifest_stands_under_its_name_as_it_is_written() {
        for one in ALL.iter() {
            let server = &one.curated.server;
            let file = format!("{}/registry/{}/{}.json", env!("CARGO_MANIFEST_DIR"), server.name, server.version);
            let text = manifest_text(&one.curated.written.server, &approved(&one.curated.written).unwrap());
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "{file}");
        }
    }

    #[test]
    fn a_mirror_may_have_less_of_a_version_and_nothing_else() {
        let one = ALL.first().and_then(|one| one.manifest.code()).unwrap();
        let code = |files: &[&str]| Code { integrity: files.iter().map(|file| (*file).to_owned()).collect(), ..one.clone() };
        let known = code(&["sha256:wheel", "sha256:source"]);
        assert!(is_of(&known, &known) && is_of(&code(&["sha256:wheel"]), &known));
        assert!(!is_of(&code(&[]), &known) && !is_of(&code(&["sha256:wheel", "sha256:other"]), &known));
        assert!(!is_of(&Code { version: "2".to_owned(), ..known.clone() }, &known));
    }

    #[test]
    fn what_does_not_fit_its_digest_is_not_taken() {
        let mut written = Curated::find("git").unwrap().written.clone();
        assert!(approved(&written).is_some());
        written.meta.release = raw(&written.meta.release.get().replacen("\"tool\"", "\"prompt\"", 1));
        assert!(approved(&written).is_none());
    }
}
