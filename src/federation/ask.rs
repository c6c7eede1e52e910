//! One request at an endpoint: who asks, through which endpoint, and what there is to see at this moment.

use super::upstreams::Caller;
use super::view::{Scope, View};

/// What every answer begins with.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) view: &'a View,
    pub(super) caller: &'a Caller<'a>,
    pub(super) scope: Scope<'a>,
}
