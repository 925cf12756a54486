//! Bytes that are no record, or a damaged one, are read and edited without a panic.

use super::*;
use crate::state::record::{Record, edit, len_after, len_of_one, write_one};

#[test]
fn damaged_bytes_do_no_harm() {
    for_each_seed(20_000, |dice| {
        let mut bytes = dice.bytes_below(200);
        if dice.one_in(2) && bytes.len() > 40 {
            // Near a record: a plausible head, flags and lengths.
            bytes[0] %= 16;
            bytes[1] %= 8;
            let at = 2 + usize::from(bytes[0]);
            bytes[at] &= 0b1_0111;
            bytes[at + 2] = 0;
        }
        let record = Record(&bytes);
        assert!(record.key().len() <= bytes.len());
        assert!(record.versions().count() <= crate::state::merge::VERSIONS_MAX);
        let mut context = dice.bytes_below(64);
        context.truncate(context.len() / 16 * 16);
        let new = Owned { context, ..Owned::new(Kind::Siblings, dice.word(), dice.word(), &[]) };
        let plan = Plan { place: dice.below(8), keep: dice.word() as u8, ..Plan::default() };
        let after = len_after(record, &plan, &new.get());
        bytes.resize(after.min(1000).max(dice.below(300)), 0);
        edit(&mut bytes, &plan, &new.get());
        Record(&bytes).versions().for_each(drop);
    });
}

#[test]
fn a_record_reads_as_it_was_written() {
    for_each_seed(300, |dice| {
        let mut key = dice.bytes_below(255);
        key.push(b'k');
        let mut model = Model::default();
        let mut bytes = Vec::new();
        for step in 0..20 {
            let kind = if dice.one_in(8) { Kind::Register } else { Kind::Siblings };
            let seen = [(20, 1), (21, 2), (22, 3)];
            let mut new = Owned::new(kind, 5 + dice.below(30) as u64, dice.below(8) as u64, &seen[..dice.below(4)]);
            new.value = (!dice.one_in(4)).then(|| dice.bytes(step * 3));
            let old = model.clone();
            let plan = model.merge(&new);
            if plan.verdict != Verdict::Take {
                continue;
            }
            if old.0.is_empty() || plan.keep == 0 {
                bytes = vec![0xAA; len_of_one(&key, &new.get())];
                write_one(&mut bytes, &key, &new.get());
            } else {
                let len = len_after(Record(&bytes), &plan, &new.get());
                bytes.resize(len.max(bytes.len()), 0xAA);
                edit(&mut bytes, &plan, &new.get());
                bytes.truncate(len);
            }
            let record = Record(&bytes);
            assert_eq!(record.key(), key);
            assert_eq!(record.kind(), model.kind());
            assert!(record.versions().map(|version| Owned::of(&version)).eq(model.0.iter().cloned()));
            assert!(bytes.len() <= crate::state::record::len_max(255 + 3 * 20));
        }
    });
}
