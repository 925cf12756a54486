//! Tags as bytes: for each, the length of the name, the name, the length of the value, the value.
//!
//! Knows: the encoding. Does not know: whose they are, nor where they are kept.

use crate::slab::scope::OwnScope;

/// Writes tags into `buf`; `None` when they do not fit.
pub(crate) fn encode_tags<'t>(buf: &mut [u8], tags: impl IntoIterator<Item = (&'t str, &'t str)>) -> Option<usize> {
    let mut len = 0;
    for (name, value) in tags {
        len += encode_text(buf.get_mut(len..)?, name)?;
        len += encode_text(buf.get_mut(len..)?, value)?;
    }
    Some(len)
}

#[cfg_attr(target_os = "none", inline(never))]
fn encode_text(buf: &mut [u8], text: &str) -> Option<usize> {
    let (len, rest) = buf.split_first_mut()?;
    *len = u8::try_from(text.len()).ok()?;
    rest.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(1 + text.len())
}

/// How long a scope is behind tags.
pub(crate) fn scope_len(scope: &OwnScope) -> usize {
    if scope.is_all() { 0 } else { 1 + scope.bytes_len() }
}

/// Writes a scope behind tags that take `len` bytes; the length of both, or `None` when it does not fit.
///
/// It begins with a length that no tag has, so whoever reads tags stops there.
pub(crate) fn append_scope(buf: &mut [u8], len: usize, scope: &OwnScope) -> Option<usize> {
    if scope.is_all() {
        return Some(len);
    }
    let bytes = scope.to_bytes();
    *buf.get_mut(len)? = SCOPE;
    buf.get_mut(len + 1..len + 1 + bytes.len())?.copy_from_slice(&bytes);
    Some(len + 1 + bytes.len())
}

/// The tags alone, and the bytes of the scope behind them: of one that is everything, if there are none.
pub(crate) fn split_scope(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = bytes;
    while part(&mut rest).is_some() {}
    match rest.split_first() {
        Some((&SCOPE, scope)) => (bytes.get(..bytes.len() - rest.len()).unwrap_or(&[]), scope),
        _ => (bytes, &[]),
    }
}

/// A tag's name or value is at most 253 bytes long, since all tags together take at most 255.
const SCOPE: u8 = u8::MAX;

/// Reads tags; bytes that are not tags end the list.
pub(crate) fn tags(mut bytes: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    core::iter::from_fn(move || {
        let name = text(&mut bytes)?;
        let value = text(&mut bytes)?;
        Some((name, value))
    })
}

fn text<'b>(bytes: &mut &'b [u8]) -> Option<&'b str> {
    core::str::from_utf8(part(bytes)?).ok()
}

fn part<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (len, rest) = bytes.split_first()?;
    let (part, rest) = rest.split_at_checked(usize::from(*len))?;
    *bytes = rest;
    Some(part)
}
