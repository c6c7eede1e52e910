//! Lists in pages. A page is large: many clients read only the first one.
//!
//! A cursor says where the next page begins, and of which list. It is authenticated, so that nobody makes one up, and holds as
//! long as that list is the same, over restarts too.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::protocol::{Params, RpcError};

/// Items of one page.
pub(super) const PAGE: usize = 1000;
/// Bytes of a cursor: where it begins, the list's mark, and the proof that we made it.
const START: usize = 4;
const MARK: usize = 8;
const PROOF: usize = 16;

/// Which list is read, and by whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'l> {
    /// The member of the result that holds its items.
    pub(super) member: &'l str,
    /// The endpoint it is read at.
    pub(super) endpoint: &'l str,
    /// The caller.
    pub(super) principal: &'l str,
}

/// What stands in a list.
pub(super) trait Item {
    /// As it is written, in pieces that follow each other.
    fn pieces(&self) -> [&str; 3];

    /// Puts into a list's mark what tells this one from another.
    fn tell(&self, mark: &mut Sha256) {
        tell(mark, &self.pieces());
    }
}

impl Item for String {
    fn pieces(&self) -> [&str; 3] {
        [self, "", ""]
    }
}

/// Puts a text into a mark, with its length, so that no two lists are one.
pub(super) fn tell(mark: &mut Sha256, pieces: &[&str]) {
    mark.update((length(pieces) as u64).to_be_bytes());
    for piece in pieces {
        mark.update(piece);
    }
}

fn length(pieces: &[&str]) -> usize {
    pieces.iter().map(|piece| piece.len()).sum()
}

/// Cuts lists into pages.
#[derive(Clone)]
pub struct Pager(Hmac<Sha256>);

impl Pager {
    /// Cursors are made and known by `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        // What is shorter than a block is filled up with zeros (RFC 2104 §2).
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(byte, of_key)| *byte = *of_key);
        Self(Hmac::new(&block.into()))
    }

    /// One page of `items` as a result.
    pub(super) fn page<T: Item>(
        &self,
        list: &List<'_>,
        items: &[T],
        params: &Params,
        meta: Option<&serde_json::Value>,
    ) -> Result<Box<RawValue>, RpcError> {
        let start = match params.get("cursor").filter(|cursor| cursor.get() != "null") {
            Some(cursor) => self.start(list, items, cursor)?,
            None => 0,
        };
        let end = items.len().min(start + PAGE);
        let slice = items.get(start..end).unwrap_or_default();
        let mut text = String::with_capacity(slice.iter().map(|item| length(&item.pieces()) + 1).sum::<usize>() + 128);
        text.push_str("{\"");
        text.push_str(list.member);
        text.push_str("\":[");
        for (at, item) in slice.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            for piece in item.pieces() {
                text.push_str(piece);
            }
        }
        text.push(']');
        if end < items.len() {
            let _ = write!(text, ",\"nextCursor\":\"{}\"", self.cursor(list, end, mark(items)));
        }
        if let Some(meta) = meta {
            let _ = write!(text, ",\"_meta\":{meta}");
        }
        text.push('}');
        RawValue::from_string(text).map_err(|_| RpcError::new(RpcError::INTERNAL, "a definition is not JSON"))
    }

    fn cursor(&self, list: &List<'_>, start: usize, mark: [u8; MARK]) -> String {
        // No list is so long: its items would not fit into memory.
        let said = [u32::try_from(start).unwrap_or(u32::MAX).to_be_bytes().as_slice(), &mark].concat();
        let proof = self.proof(list, &said).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([&said, proof.get(..PROOF).unwrap_or_default()].concat())
    }

    /// Where a cursor says that its page begins.
    fn start<T: Item>(&self, list: &List<'_>, items: &[T], cursor: &RawValue) -> Result<usize, RpcError> {
        let foreign = || RpcError::params("the cursor is not one of this list; begin again without it");
        let text: String = serde_json::from_str(cursor.get()).map_err(|_| foreign())?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == START + MARK + PROOF).ok_or_else(foreign)?;
        let (said, proof) = bytes.split_at(START + MARK);
        self.proof(list, said).verify_truncated_left(proof).map_err(|_| foreign())?;
        let (start, marked) = said.split_at(START);
        if marked != mark(items) {
            return Err(RpcError::params("the list has changed since this cursor was given; begin again without it"));
        }
        start.try_into().ok().and_then(|start| u32::from_be_bytes(start).try_into().ok()).ok_or_else(foreign)
    }

    /// Each part goes in with its length, so that no two lists are one.
    fn proof(&self, list: &List<'_>, said: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [list.member.as_bytes(), list.endpoint.as_bytes(), list.principal.as_bytes(), said] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

/// What tells a list from another one of the same caller.
fn mark<T: Item>(items: &[T]) -> [u8; MARK] {
    let mut hash = Sha256::new();
    for item in items {
        item.tell(&mut hash);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut mark = [0; MARK];
    mark.iter_mut().zip(digest).for_each(|(mark, byte)| *mark = byte);
    mark
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIST: List<'static> = List { member: "x", endpoint: "", principal: "local" };

    fn pager() -> Pager {
        Pager::new(&[7; 32])
    }

    fn numbers(length: usize) -> Vec<String> {
        (0..length).map(|n| n.to_string()).collect()
    }

    fn cursor(list: &List<'_>, items: &[String]) -> String {
        let first = pager().page(list, items, &Params::default(), None).unwrap();
        let first: serde_json::Value = serde_json::from_str(first.get()).unwrap();
        first["nextCursor"].as_str().unwrap().to_owned()
    }

    fn after(pager: &Pager, list: &List<'_>, items: &[String], cursor: &str) -> Result<Box<RawValue>, RpcError> {
        pager.page(list, items, &Params::default().with("cursor", cursor), None)
    }

    #[test]
    fn pages_follow_each_other_to_the_end_also_after_a_restart_and_a_foreign_cursor_is_refused() {
        let items = numbers(PAGE + 1);
        let cursor = cursor(&LIST, &items);
        assert_eq!(after(&pager(), &LIST, &items, &cursor).unwrap().get(), format!("{{\"x\":[{PAGE}]}}"));
        for foreign in ["abc", "", "\u{0}", "ZnJvbToxMDAw"] {
            assert_eq!(after(&pager(), &LIST, &items, foreign).unwrap_err().code, RpcError::INVALID_PARAMS);
        }
        assert!(after(&Pager::new(&[8; 32]), &LIST, &items, &cursor).is_err(), "another gateway did not make it");
        let changed = numbers(PAGE + 2);
        let refused = after(&pager(), &LIST, &changed, &cursor).unwrap_err();
        assert!(refused.code == RpcError::INVALID_PARAMS && refused.message.contains("has changed"), "{}", refused.message);
    }

    proptest! {
        #[test]
        fn a_cursor_holds_for_its_own_list_endpoint_and_caller_and_no_bit_of_it_can_be_changed(
            member in "[a-z]{1,3}", endpoint in "[a-z]{0,3}", principal in "[a-z:]{1,3}", at in 0..28_usize, bit in 0..8_u8,
        ) {
            let items = numbers(PAGE + 1);
            let cursor = cursor(&LIST, &items);
            let other = List { member: &member, endpoint: &endpoint, principal: &principal };
            if (other.member, other.endpoint, other.principal) != (LIST.member, LIST.endpoint, LIST.principal) {
                prop_assert!(after(&pager(), &other, &items, &cursor).is_err());
            }
            let mut bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
            bytes[at] ^= 1 << bit;
            prop_assert!(after(&pager(), &LIST, &items, &URL_SAFE_NO_PAD.encode(bytes)).is_err());
            prop_assert!(after(&pager(), &LIST, &items, &cursor).is_ok());
        }

        #[test]
        fn a_cursor_of_a_list_that_is_another_now_is_refused(length in 1001..1010_usize, at in 0..1001_usize, word in "[a-z]{1,4}") {
            let before = numbers(length);
            let mut now = before.clone();
            now[at] = word;
            prop_assert!(after(&pager(), &LIST, &now, &cursor(&LIST, &before)).is_err());
        }
    }
}
