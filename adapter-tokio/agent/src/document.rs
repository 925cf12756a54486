//! The shared document: nested JSON as entries, one for each leaf, so that merges of different leaves never meet.
//!
//! Knows: paths as keys, what a merge writes and deletes, and how entries make a document again. Does not know: nodes,
//! versions, limits of tables. All of it is pure.
//!
//! A key is a JSON Pointer (RFC 6901) without its first `/`. A merge is a JSON Merge Patch (RFC 7396), except that an
//! object that loses its last member is no more, and that a patch of nothing but deletions creates nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Entries as they are held: key and value, which need not be JSON.
pub(crate) type Held<'a> = BTreeMap<String, &'a [u8]>;

/// What a merge comes to. First write, then delete: who fails between the two has lost nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) puts: Vec<(String, Value)>,
    pub(crate) deletes: Vec<String>,
}

/// Why a key is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathError {
    /// It is empty.
    Empty,
    /// A `~` that is followed by neither `0` nor `1`.
    Escape,
    /// More than [`DEPTH_MAX`] levels.
    Depth,
}

/// The key of a path of member names.
pub(crate) fn key_of(path: &[&str]) -> String {
    let key = joined(path);
    if key.is_empty() { EMPTY_NAME.into() } else { key }
}

/// The path of member names of a key.
pub(crate) fn path_of(key: &str) -> Result<Vec<String>, PathError> {
    match key {
        "" => return Err(PathError::Empty),
        EMPTY_NAME => return Ok(vec![String::new()]),
        _ => {}
    }
    let path: Option<Vec<_>> = key.split('/').map(unescaped).collect();
    match path {
        None => Err(PathError::Escape),
        Some(path) if path.len() > DEPTH_MAX => Err(PathError::Depth),
        Some(path) => Ok(path),
    }
}

/// What the keys beneath a path begin with.
pub(crate) fn beneath(path: &[&str]) -> String {
    if path.is_empty() { String::new() } else { joined(path) + "/" }
}

/// How deep arrays and objects are nested in a value; 0 for a scalar.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A value that is held, as JSON; bytes that are none, or nested too deep, as `{"$hex":"…"}`.
pub(crate) fn value_of(bytes: &[u8]) -> Value {
    match serde_json::from_slice(bytes) {
        Ok(value) if depth(&value) <= DEPTH_MAX => value,
        _ => raw_value_of(bytes),
    }
}

/// A value that is held, as `{"$hex":"…"}`, whatever it is.
pub(crate) fn raw_value_of(bytes: &[u8]) -> Value {
    Value::Object(Map::from_iter([("$hex".to_owned(), Value::String(hex(bytes)))]))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes that these digits are; `None` if they are none.
pub(crate) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|nibble| nibble as u8);
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Some(nibble(*pair.first()?)? << 4 | nibble(*pair.get(1)?)?)).collect()
}

/// What to write and delete so that `patch` is merged into what is held. `held` is all that lies at or beneath the
/// members of the patch.
pub(crate) fn plan(held: &Held<'_>, patch: &Map<String, Value>) -> Plan {
    let leaves = held.iter().map(|(key, bytes)| (key.clone(), Leaf::Held(bytes))).collect();
    let mut merging = Merging { leaves, gone: BTreeSet::new() };
    for (name, value) in patch {
        merging.merge(&mut vec![name], value);
    }
    let Merging { leaves, gone } = merging;
    let puts: Vec<_> = leaves
        .into_iter()
        .filter_map(|(key, leaf)| match leaf {
            Leaf::New(value) => Some((key, value)),
            Leaf::Held(_) => None,
        })
        .collect();
    let deletes = gone.into_iter().filter(|key| held.contains_key(key)).collect();
    Plan { puts, deletes }
}

/// Makes a document of entries beneath `path`: the value at it, if there is one, and the keys that are not in it. Entries
/// beneath another win over it, unless it is an object that they fit in.
pub(crate) fn rebuild<'a>(
    path: &[&str],
    entries: impl IntoIterator<Item = (&'a str, Value)>,
) -> (Option<Value>, Vec<String>) {
    let entries: BTreeMap<&str, Value> = entries.into_iter().collect();
    let (mut root, mut placed, mut hidden) = (None, BTreeMap::new(), Vec::new());
    for (key, value) in entries {
        let Ok(names) = path_of(key) else {
            hidden.push(key.to_owned());
            continue;
        };
        if !path.iter().eq(names.iter().take(path.len())) {
            continue;
        }
        let mut at = root.get_or_insert_with(|| Value::Object(Map::new()));
        for (nth, name) in names.iter().enumerate().skip(path.len()) {
            if !at.is_object() {
                hidden.extend(placed.remove(&names[..nth]));
                *at = Value::Object(Map::new());
            }
            let Value::Object(members) = at else { break };
            at = members.entry(name.clone()).or_insert(Value::Object(Map::new()));
        }
        if fill(at, value) {
            placed.insert(names, key.to_owned());
        } else {
            hidden.push(key.to_owned());
        }
    }
    (root, hidden)
}

/// Puts a value where a new, empty object or something deeper stands; what stands there stays. Whether it found a place.
fn fill(at: &mut Value, value: Value) -> bool {
    match (at, value) {
        (Value::Object(there), Value::Object(members)) => {
            for (name, value) in members {
                match there.get_mut(&name) {
                    Some(at) => _ = fill(at, value),
                    None => _ = there.insert(name, value),
                }
            }
            true
        }
        (at @ Value::Object(_), value) if at.as_object().is_some_and(Map::is_empty) => {
            *at = value;
            true
        }
        _ => false,
    }
}

/// The entries in the middle of a merge.
struct Merging<'a> {
    leaves: BTreeMap<String, Leaf<'a>>,
    gone: BTreeSet<String>,
}

enum Leaf<'a> {
    Held(&'a [u8]),
    New(Value),
}

impl Merging<'_> {
    fn merge<'p>(&mut self, path: &mut Vec<&'p str>, patch: &'p Value) {
        match patch {
            Value::Null => {
                self.clear_beneath(path);
                self.remove(key_of(path));
            }
            Value::Object(members) if members.is_empty() => self.make_object(path),
            Value::Object(members) => {
                self.open(path, members);
                for (name, value) in members {
                    path.push(name);
                    self.merge(path, value);
                    path.pop();
                }
            }
            leaf => {
                self.clear_beneath(path);
                self.put(key_of(path), leaf.clone());
            }
        }
    }

    /// An empty object is merged: whatever is no object becomes one.
    fn make_object(&mut self, path: &[&str]) {
        let (key, prefix) = (key_of(path), beneath(path));
        let filled = self.leaves.range(prefix.clone()..).next().is_some_and(|(key, _)| key.starts_with(&prefix));
        match self.object_at(&key) {
            Some(Some(_)) => {}
            Some(None) if filled => self.remove(key),
            None if filled => {}
            _ => self.put(key, Value::Object(Map::new())),
        }
    }

    /// Members are merged at a path: an object that is one entry becomes entries, anything else goes.
    fn open(&mut self, path: &[&str], members: &Map<String, Value>) {
        let key = key_of(path);
        match self.object_at(&key) {
            None => {}
            // It stays as it is when nothing is put into it.
            Some(Some(object)) if object.is_empty() && members.values().all(deletes_only) => {}
            Some(Some(object)) => {
                self.remove(key);
                let mut path = path.to_vec();
                for (name, value) in &object {
                    path.push(name);
                    self.spread(&mut path, value);
                    path.pop();
                }
            }
            Some(None) => self.remove(key),
        }
    }

    /// Writes a value that was a part of an entry, unless an entry holds that place already.
    fn spread<'v>(&mut self, path: &mut Vec<&'v str>, value: &'v Value) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                for (name, value) in members {
                    path.push(name);
                    self.spread(path, value);
                    path.pop();
                }
            }
            leaf => {
                let (key, prefix) = (key_of(path), beneath(path));
                let filled =
                    self.leaves.range(prefix.clone()..).next().is_some_and(|(key, _)| key.starts_with(&prefix));
                if !filled && !self.leaves.contains_key(&key) {
                    self.put(key, leaf.clone());
                }
            }
        }
    }

    /// What the entry with this key is, if there is one: an object, or not.
    fn object_at(&self, key: &str) -> Option<Option<Map<String, Value>>> {
        let value = match self.leaves.get(key)? {
            // Not to be parsed for nothing: most leaves are no objects.
            Leaf::Held(bytes) if bytes.trim_ascii_start().first() != Some(&b'{') => return Some(None),
            Leaf::Held(bytes) => value_of(bytes),
            Leaf::New(value) => value.clone(),
        };
        match value {
            Value::Object(object) => Some(Some(object)),
            _ => Some(None),
        }
    }

    fn put(&mut self, key: String, value: Value) {
        self.gone.remove(&key);
        self.leaves.insert(key, Leaf::New(value));
    }

    fn remove(&mut self, key: String) {
        if self.leaves.remove(&key).is_some() {
            self.gone.insert(key);
        }
    }

    fn clear_beneath(&mut self, path: &[&str]) {
        let prefix = beneath(path);
        let range = self.leaves.range(prefix.clone()..).map(|(key, _)| key.clone());
        for key in range.take_while(|key| key.starts_with(&prefix)).collect::<Vec<_>>() {
            self.remove(key);
        }
    }
}

/// Whether a patch puts nothing anywhere.
fn deletes_only(patch: &Value) -> bool {
    match patch {
        Value::Null => true,
        Value::Object(members) => !members.is_empty() && members.values().all(deletes_only),
        _ => false,
    }
}

fn joined(path: &[&str]) -> String {
    let names: Vec<_> = path.iter().map(|name| name.replace('~', "~0").replace('/', "~1")).collect();
    names.join("/")
}

fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escape, rest) = part.split_at_checked(1)?;
        text.push(match escape {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        text.push_str(rest);
    }
    Some(text)
}

/// How deep paths and values may be: the two together stay within what JSON parsers take (128 for serde_json).
pub(crate) const DEPTH_MAX: usize = 60;
/// The key of the member whose name is empty: no key may be.
const EMPTY_NAME: &str = "~2";

#[cfg(test)]
#[path = "document/tests.rs"]
mod tests;
