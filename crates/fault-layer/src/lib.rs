//! A library to be preloaded (`LD_PRELOAD`) into a server under test. It stands between the server
//! and the C library, watches one directory, and does two things there:
//!
//! - Each change is written to a journal outside before it is made, with what was there before, and
//!   each sync after it succeeded. When the process is killed the harness takes back what was not
//!   synced: what a power failure would have done. Changes through shared memory maps are not seen;
//!   SQLite makes such changes in its `-shm` file alone, which it builds anew after a crash.
//! - While the harness says so, writes, syncs and reads fail, syncs are slow, the disk is full, or
//!   the calendar's clock is off.
//!
//! `testkit::fault_layer` is the harness. The functions below bear the C library's names and make
//! the system calls themselves, so that nothing here calls itself.
//!
//! Everything here is `unsafe` by nature: it takes the place of C functions, with their arguments.
//! Each function reads and writes only what its caller has to provide by the function's own contract
//! (a buffer and its length, a path that ends with 0), and keeps nothing of it.
#![allow(
    unsafe_code,
    reason = "functions of the C library are replaced, which is foreign code by nature"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "the contract of each is that of the C function of its name"
)]
#![allow(missing_docs, reason = "each does what the C function of its name does")]
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

mod control;
mod files;
mod hooks;
mod journal;
mod layer;
