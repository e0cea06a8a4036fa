//! Links the program small.
//!
//! A program at rest takes the memory of the pages it touched. Two things put pages there that nobody needs: the table of
//! addresses the loader adjusts at start (3 MB, and 50 KB in the packed form that glibc knows since 2.36), and functions that
//! exist several times under different types. Both are options of lld, which rustc brings and uses on this target.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if is("PROFILE", "release") && is("TARGET", "x86_64-unknown-linux-gnu") {
        println!("cargo::rustc-link-arg-bin=edgeward=-Wl,-z,pack-relative-relocs");
        println!("cargo::rustc-link-arg-bin=edgeward=-Wl,--icf=all");
    }
}
