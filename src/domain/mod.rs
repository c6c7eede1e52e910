//! Ground: the words everyone shares. No I/O, no knowledge of any floor above.

#[cfg(test)]
mod cost;
mod digest;
mod directory;
mod flavour;
mod given;
mod grants;
mod lock;
mod name;
mod needle;
pub mod pointer;
mod principal;
mod raw;
mod release_pin;
mod review;
mod secret;
mod selection;
mod server;
mod text;
mod time;
mod toolset;
mod usage;
pub mod walk;

#[cfg(test)]
pub use cost::cost;
pub use digest::Digest;
pub use directory::{namespace, server_json};
pub use flavour::{Flavour, Flavours};
pub use given::Given;
pub use grants::{Globs, Grants, may_reach};
pub use lock::lock;
pub use name::{NameError, PUBLIC_NAME_MAX, ServerName};
pub use needle::{Needle, hides_keys};
pub use principal::Principal;
pub use raw::{RawObject, is_deep, push_member, raw, raw_string};
pub use release_pin::ReleasePin;
pub use review::{Check, Checks, Class, OnChange, Profile, Review, Verdict};
pub use secret::Secret;
pub use selection::Selection;
pub use server::{Isolation, OAuth, Pin, Sampling, ServerSpec, Transport, is_scope};
pub use text::{clip, is_hidden, meant, nearest, one_line, printable, unseen};
pub use time::{Adjustable, now_ms};
pub use toolset::{Form, Naming, Toolset, Toolsets};
pub use usage::{Usage, dollars};
