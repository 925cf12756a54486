//! Puts the code where a number is hardly ever the address of a function by chance: `adapter-embassy/stack.py` takes each
//! such number for an address that is taken.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg=-Ttext=0x8000000");
}
