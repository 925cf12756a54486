//! The document against a model of it: nested JSON that is merged as RFC 7396 says, with our two exceptions.

use serde_json::json;

use super::*;

#[test]
fn keys_are_paths_and_back() {
    for (path, key) in [
        (&["a"][..], "a"),
        (&["a", "b"], "a/b"),
        (&["a/b", "c~d"], "a~1b/c~0d"),
        (&[""], "~2"),
        (&["", ""], "/"),
        (&["", "a"], "/a"),
        (&["a", ""], "a/"),
        (&["~2"], "~02"),
        (&["~1", "~01"], "~01/~001"),
    ] {
        assert_eq!(key_of(path), key);
        assert_eq!(path_of(key).unwrap(), path);
    }
    assert_eq!(path_of(""), Err(PathError::Empty));
    assert_eq!(path_of("a~"), Err(PathError::Escape));
    assert_eq!(path_of("a~3"), Err(PathError::Escape));
    assert_eq!(path_of("a~é"), Err(PathError::Escape));
    assert_eq!(path_of(&"/".repeat(DEPTH_MAX)), Err(PathError::Depth));
}

#[test]
fn bytes_that_are_no_json_are_shown_as_such() {
    assert_eq!(value_of(b"{\"a\": 1}"), json!({"a": 1}));
    assert_eq!(value_of(b"\xff\x00"), json!({"$hex": "ff00"}));
    let deep = "[".repeat(DEPTH_MAX + 1) + &"]".repeat(DEPTH_MAX + 1);
    assert!(value_of(deep.as_bytes()).get("$hex").is_some());
}

#[test]
fn leaves_become_keys() {
    let swarm = merged(&[json!({"site": {"nav": {"speed": 0.8, "on": true}, "tags": [1, null], "empty": {}}})]);
    assert_eq!(keys(&swarm), ["site/empty", "site/nav/on", "site/nav/speed", "site/tags"]);
    assert_eq!(whole(&swarm), json!({"site": {"empty": {}, "nav": {"on": true, "speed": 0.8}, "tags": [1, null]}}));
}

#[test]
fn null_deletes_a_leaf_or_all_beneath() {
    let start = json!({"a": {"b": 1, "c": {"d": 2, "e": 3}}, "ab": 4});
    assert_eq!(
        whole(&merged(&[start.clone(), json!({"a": {"b": null}})])),
        json!({"a": {"c": {"d": 2, "e": 3}}, "ab": 4})
    );
    assert_eq!(whole(&merged(&[start.clone(), json!({"a": null})])), json!({"ab": 4}));
    assert_eq!(whole(&merged(&[start.clone(), json!({"x": null, "ab": {"y": null}})])), json!({"a": start["a"]}));
}

#[test]
fn scalars_and_objects_replace_each_other() {
    let object = json!({"a": {"b": 1, "c": {"d": 2}}});
    assert_eq!(keys(&merged(&[object.clone(), json!({"a": 5})])), ["a"]);
    assert_eq!(keys(&merged(&[json!({"a": 5}), object.clone()])), ["a/b", "a/c/d"]);
    assert_eq!(keys(&merged(&[json!({"a": {}}), object.clone()])), ["a/b", "a/c/d"]);
    assert_eq!(keys(&merged(&[object, json!({"a": {}})])), ["a/b", "a/c/d"]);
    assert_eq!(whole(&merged(&[json!({"a": 5}), json!({"a": {}})])), json!({"a": {}}));
}

#[test]
fn an_object_that_is_one_entry_opens_up_when_merged_into() {
    let mut swarm = Swarm::from([("a".to_owned(), json!({"x": 1, "y": {"z": 2}}).to_string())]);
    merge(&mut swarm, &json!({"a": {"y": {"w": 3}}}));
    assert_eq!(keys(&swarm), ["a/x", "a/y/w", "a/y/z"]);
    assert_eq!(whole(&swarm), json!({"a": {"x": 1, "y": {"w": 3, "z": 2}}}));
}

#[test]
fn what_has_no_place_is_named() {
    let entries = [("a", json!(1)), ("a/b", json!(2)), ("~x", json!(3)), ("c", json!({"d": 4})), ("c/e", json!(5))];
    let (value, hidden) = rebuild(&[], entries);
    assert_eq!(value, Some(json!({"a": {"b": 2}, "c": {"d": 4, "e": 5}})));
    assert_eq!(hidden, ["a", "~x"]);
    assert_eq!(rebuild(&["a"], [("b", json!(1))]).0, None);
    assert_eq!(
        rebuild(&[], [("/a", json!(1)), ("~2", json!(2))]),
        (Some(json!({"": {"a": 1}})), vec!["~2".to_owned()])
    );
}

#[test]
fn merging_is_what_the_model_says() {
    for seed in 1..=3000 {
        let mut rng = Rng(seed);
        let (mut swarm, mut model) = (Swarm::new(), None);
        for step in 0..8 {
            let patch = Value::Object(object(&mut rng, 3, true));
            merge(&mut swarm, &patch);
            model = model_merge(model, &patch);
            let expected = model.clone().filter(|model| *model != json!({})).unwrap_or(json!({}));
            assert_eq!(whole(&swarm), expected, "SEED={seed} step {step}: {patch}");
        }
    }
}

#[test]
fn merges_of_different_leaves_both_survive_in_any_order() {
    for seed in 1..=1000 {
        let mut rng = Rng(seed);
        let mut base = Swarm::new();
        merge(&mut base, &json!({"one": Value::Object(object(&mut rng, 2, false)), "two": {"x": {"y": 1}}}));
        let (a, b) = (
            json!({"one": Value::Object(object(&mut rng, 2, true))}),
            json!({"two": Value::Object(object(&mut rng, 2, true))}),
        );
        // Each is planned without knowing of the other, as on two agents at once.
        let (plan_a, plan_b) = (plan_of(&base, &a), plan_of(&base, &b));
        let (mut ab, mut ba) = (base.clone(), base);
        apply(&mut ab, &plan_a);
        apply(&mut ab, &plan_b);
        apply(&mut ba, &plan_b);
        apply(&mut ba, &plan_a);
        assert_eq!(ab, ba, "SEED={seed}");
        for plan in [&plan_a, &plan_b] {
            assert!(plan.puts.iter().all(|(key, value)| ab.get(key) == Some(&value.to_string())), "SEED={seed}");
        }
    }
}

#[test]
fn a_plan_writes_no_key_twice() {
    for seed in 1..=1000 {
        let mut rng = Rng(seed);
        let mut swarm = Swarm::new();
        for _ in 0..4 {
            let plan = plan_of(&swarm, &Value::Object(object(&mut rng, 3, true)));
            assert!(plan.deletes.iter().all(|key| !plan.puts.iter().any(|(put, _)| put == key)), "SEED={seed}");
            assert!(plan.deletes.iter().all(|key| swarm.contains_key(key)), "SEED={seed}");
            apply(&mut swarm, &plan);
        }
    }
}

type Swarm = BTreeMap<String, String>;

fn merged(patches: &[Value]) -> Swarm {
    let mut swarm = Swarm::new();
    patches.iter().for_each(|patch| merge(&mut swarm, patch));
    swarm
}

fn merge(swarm: &mut Swarm, patch: &Value) {
    let plan = plan_of(swarm, patch);
    apply(swarm, &plan);
}

fn plan_of(swarm: &Swarm, patch: &Value) -> Plan {
    let held = swarm.iter().map(|(key, value)| (key.clone(), value.as_bytes())).collect();
    plan(&held, patch.as_object().unwrap())
}

fn apply(swarm: &mut Swarm, plan: &Plan) {
    swarm.extend(plan.puts.iter().map(|(key, value)| (key.clone(), value.to_string())));
    plan.deletes.iter().for_each(|key| drop(swarm.remove(key)));
}

fn whole(swarm: &Swarm) -> Value {
    let (value, hidden) = rebuild(&[], swarm.iter().map(|(key, value)| (key.as_str(), value_of(value.as_bytes()))));
    assert_eq!(hidden, [""; 0]);
    value.unwrap_or(json!({}))
}

fn keys(swarm: &Swarm) -> Vec<&str> {
    swarm.keys().map(String::as_str).collect()
}

/// What a merge leaves of a value, `None` when there is none.
fn model_merge(target: Option<Value>, patch: &Value) -> Option<Value> {
    let Value::Object(members) = patch else { return Some(patch.clone()).filter(|patch| !patch.is_null()) };
    let was_empty = target.as_ref().is_some_and(|target| *target == json!({}));
    let mut object = match target {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    for (name, patch) in members {
        if let Some(value) = model_merge(object.remove(name), patch) {
            object.insert(name.clone(), value);
        }
    }
    Some(Value::Object(object)).filter(|object| *object != json!({}) || members.is_empty() || was_empty)
}

/// A random object with names and values that are likely to meet.
fn object(rng: &mut Rng, depth: u32, nulls: bool) -> Map<String, Value> {
    let names = ["a", "b", "ab", "", "a/b", "~", "~2", "a-"];
    (0..rng.below(4)).map(|_| (names[rng.below(8)].to_owned(), value(rng, depth, nulls))).collect()
}

fn value(rng: &mut Rng, depth: u32, nulls: bool) -> Value {
    match rng.below(6) {
        0 if nulls => Value::Null,
        1 => json!([1, {"a": null}]),
        2 => json!("text"),
        3..=5 if depth > 0 => Value::Object(object(rng, depth - 1, nulls)),
        n => json!(n),
    }
}

/// splitmix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}
