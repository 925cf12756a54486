//! Tags as bytes: for each, the length of the name, the name, the length of the value, the value.
//!
//! Knows: the encoding. Does not know: whose they are, nor where they are kept.

/// Writes tags into `buf`; `None` when they do not fit.
pub(crate) fn encode_tags<'t>(buf: &mut [u8], tags: impl IntoIterator<Item = (&'t str, &'t str)>) -> Option<usize> {
    let mut len = 0;
    for text in tags.into_iter().flat_map(|(name, value)| [name, value]) {
        *buf.get_mut(len)? = u8::try_from(text.len()).ok()?;
        buf.get_mut(len + 1..len + 1 + text.len())?.copy_from_slice(text.as_bytes());
        len += 1 + text.len();
    }
    Some(len)
}

/// Reads tags; bytes that are not tags end the list.
pub(crate) fn tags(mut bytes: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    core::iter::from_fn(move || {
        let name = text(&mut bytes)?;
        let value = text(&mut bytes)?;
        Some((name, value))
    })
}

fn text<'b>(bytes: &mut &'b [u8]) -> Option<&'b str> {
    let (len, rest) = bytes.split_first()?;
    let text = rest.get(..usize::from(*len))?;
    *bytes = rest.get(usize::from(*len)..)?;
    core::str::from_utf8(text).ok()
}
