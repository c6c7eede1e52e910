//! One request at an endpoint: who asks, through which endpoint, and what there is to see at this moment.

use super::caller::Caller;
use super::scope::Scope;
use super::view::View;

/// What every answer begins with.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) view: &'a View,
    pub(super) caller: &'a Caller<'a>,
    pub(super) scope: Scope<'a>,
}
