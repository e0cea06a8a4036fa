//! The pause image: what holds a pod's namespaces open while its containers come and go.
//!
//! Its program is written out here as machine code: ignore SIGCHLD, so that the kernel reaps the children a shared
//! process namespace hands to it, and sleep for ever. That is a static executable of about 160 bytes; a copy of
//! `edgeward` itself would bring its shared libraries along and cost each pod megabytes. In a process list it shows as
//! `edgeward pause`.

use super::{ImageEntry, ImageSpec};
use crate::Error;

/// Name of the pause image.
pub(crate) const PAUSE_IMAGE: &str = "edgeward.local/pause:1";

/// What to assemble for this machine.
pub(crate) fn pause_spec() -> Result<ImageSpec, Error> {
    let arch = std::env::consts::ARCH;
    let program = program(arch).ok_or_else(|| {
        Error::Config(format!(
            "no pause program for {arch}: run containerd yourself with a sandbox_image and give its socket"
        ))
    })?;
    Ok(ImageSpec {
        name: PAUSE_IMAGE.to_owned(),
        entries: vec![ImageEntry::program("/edgeward", program)],
        entrypoint: vec!["/edgeward".to_owned(), "pause".to_owned()],
        ..ImageSpec::default()
    })
}

/// x86_64: `struct sigaction { SIG_IGN, 0, 0, 0 }` on the stack, rt_sigaction(SIGCHLD), then pause() in a loop.
const X86_64: [u8; 31] = [
    0x31, 0xc0, // xor eax, eax
    0x50, 0x50, 0x50, // push rax, three times: flags, restorer, mask
    0x6a, 0x01, // push 1: SIG_IGN
    0x48, 0x89, 0xe6, // mov rsi, rsp
    0x6a, 0x11, 0x5f, // rdi = 17: SIGCHLD
    0x31, 0xd2, // xor edx, edx
    0x6a, 0x08, 0x41, 0x5a, // r10 = 8: size of the signal mask
    0x6a, 0x0d, 0x58, // rax = 13: rt_sigaction
    0x0f, 0x05, // syscall
    0x6a, 0x22, 0x58, // rax = 34: pause
    0x0f, 0x05, // syscall
    0xeb, 0xf9, // jump back to pause
];

/// aarch64: the same with ppoll(NULL, 0, NULL, NULL), as pause does not exist there.
const AARCH64: [u32; 16] = [
    0xd280_0028, // mov x8, #1: SIG_IGN
    0xa9be_7fe8, // stp x8, xzr, [sp, #-32]!
    0xa901_7fff, // stp xzr, xzr, [sp, #16]
    0xd280_0220, // mov x0, #17: SIGCHLD
    0x9100_03e1, // mov x1, sp
    0xd280_0002, // mov x2, #0
    0xd280_0103, // mov x3, #8
    0xd280_10c8, // mov x8, #134: rt_sigaction
    0xd400_0001, // svc #0
    0xd280_0000, // mov x0, #0
    0xd280_0001, // mov x1, #0
    0xd280_0002, // mov x2, #0
    0xd280_0003, // mov x3, #0
    0xd280_0928, // mov x8, #73: ppoll
    0xd400_0001, // svc #0
    0x17ff_fffa, // back to the first of the five moves
];

fn program(arch: &str) -> Option<Vec<u8>> {
    match arch {
        "x86_64" => Some(elf(62, &X86_64)),
        "aarch64" => Some(elf(183, &AARCH64.map(u32::to_le_bytes).concat())),
        _ => None,
    }
}

/// A little-endian ELF64 executable: file header, one program header that maps the whole file, code.
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + code.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    half(&mut file, 2); // executable
    half(&mut file, machine);
    word(&mut file, 1);
    long(&mut file, BASE + HEADERS); // entry
    long(&mut file, 64); // program headers
    long(&mut file, 0); // no sections
    word(&mut file, 0);
    for value in [64, 56, 1, 64, 0, 0] {
        half(&mut file, value);
    }
    word(&mut file, 1); // load
    word(&mut file, 5); // read, execute
    for value in [0, BASE, BASE, size, size, 0x1_0000] {
        long(&mut file, value);
    }
    file.extend_from_slice(code);
    file
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_program_of_this_machine_sleeps_until_it_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pause");
        std::fs::write(&path, program(std::env::consts::ARCH).unwrap()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = Command::new(&path).spawn().unwrap();
        let state_of = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // It is asleep (S) and not a crashed zombie (Z) once it reached its last system call.
        while state_of(child.id()).contains(") R ") {
            std::thread::yield_now();
        }
        assert!(state_of(child.id()).contains(") S "), "{}", state_of(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
