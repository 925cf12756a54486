//! Division, and the width of a number. On a processor that cannot, it takes a step for each bit here, where the compiler's
//! way through them takes more than a kilobyte of flash.
//!
//! Knows: numbers. Does not know: what they count. By zero it is as by one.

/// Whether the processor divides by itself, or flash is no concern.
const NATIVE: bool = !cfg!(all(target_os = "none", target_arch = "arm", not(target_has_atomic = "ptr")));

/// Of a number of 64 bits by one of 32.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn divide(number: u64, by: u32) -> u64 {
    let by = by.max(1);
    if NATIVE { number / u64::from(by) } else { divide_by_steps(number, by) }
}

#[inline]
fn divide_by_steps(number: u64, by: u32) -> u64 {
    let (by, mut left, mut rest) = (u64::from(by), number, 0);
    for _ in 0..u64::BITS {
        rest = rest << 1 | left >> 63;
        left <<= 1;
        if rest >= by {
            (rest, left) = (rest - by, left | 1);
        }
    }
    left
}

/// How many bits a number takes; where that is an instruction, it is one.
#[cfg_attr(target_os = "none", inline(never))]
#[cfg_attr(not(target_os = "none"), inline)]
pub(crate) fn width(number: u32) -> u32 {
    if NATIVE { u32::BITS - number.leading_zeros() } else { width_by_steps(number) }
}

#[inline]
fn width_by_steps(number: u32) -> u32 {
    (0..u32::BITS).find(|bits| number >> bits == 0).unwrap_or(u32::BITS)
}

/// Of two numbers of 32 bits.
#[cfg_attr(target_os = "none", inline(never))]
#[cfg_attr(not(target_os = "none"), inline)]
pub(crate) fn quotient(number: u32, by: u32) -> u32 {
    let by = by.max(1);
    if NATIVE { number / by } else { quotient_by_steps(number, by) }
}

#[inline]
fn quotient_by_steps(number: u32, by: u32) -> u32 {
    let (mut left, mut rest) = (number, 0u32);
    for _ in 0..u32::BITS {
        // What is shifted out makes the rest greater than any divisor.
        let over = rest >> 31 == 1;
        rest = rest << 1 | left >> 31;
        left <<= 1;
        if over || rest >= by {
            rest = rest.wrapping_sub(by);
            left |= 1;
        }
    }
    left
}

/// What is left of the division of two numbers.
#[inline]
pub(crate) fn remainder(number: u32, by: u32) -> u32 {
    let by = by.max(1);
    number - quotient(number, by) * by
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What no host takes: the ways by steps are those of the processor, at all powers of two and beside them.
    #[test]
    fn steps_lead_to_what_the_processor_says() {
        let near = |bit: u32| (0..5).map(move |n| (1u64 << bit).wrapping_add(n).wrapping_sub(2));
        let numbers = || (0..64).flat_map(near).chain([0, u64::MAX]);
        for number in numbers() {
            let short = number as u32;
            assert_eq!(width_by_steps(short), u32::BITS - short.leading_zeros(), "{short}");
            for by in numbers().map(|by| (by as u32).max(1)) {
                assert_eq!(divide_by_steps(number, by), number / u64::from(by), "{number} / {by}");
                assert_eq!(quotient_by_steps(short, by), short / by, "{short} / {by}");
            }
        }
        assert_eq!((divide(7, 0), quotient(7, 0), remainder(7, 0)), (7, 7, 0));
    }
}
