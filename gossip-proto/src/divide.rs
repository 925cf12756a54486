//! Division, and the width of a number. On a processor without one it takes a step for each bit here, where the compiler's way through them takes
//! more than a kilobyte of flash.
//!
//! Knows: numbers. Does not know: what they count. By zero it is as by one.

/// Whether the processor divides by itself, or flash is no concern.
const NATIVE: bool = !cfg!(all(target_os = "none", target_arch = "arm", not(target_has_atomic = "ptr")));

/// Of a number of 64 bits by one of 32.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn divide(number: u64, by: u32) -> u64 {
    let by = u64::from(by.max(1));
    if NATIVE {
        return number / by;
    }
    let (mut left, mut rest) = (number, 0);
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
    if NATIVE {
        return u32::BITS - number.leading_zeros();
    }
    (0..u32::BITS).find(|bits| number >> bits == 0).unwrap_or(u32::BITS)
}

/// Of two numbers of 32 bits.
#[cfg_attr(target_os = "none", inline(never))]
#[cfg_attr(not(target_os = "none"), inline)]
pub(crate) fn quotient(number: u32, by: u32) -> u32 {
    let by = by.max(1);
    if NATIVE {
        return number / by;
    }
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
