//! The program as its users meet it: started with options, read, asked, stopped.

#![allow(clippy::unwrap_used)]

#[path = "program/accounts.rs"]
mod accounts;
#[path = "program/audit.rs"]
mod audit;
#[path = "program/backup.rs"]
mod backup;
#[path = "program/callbacks.rs"]
mod callbacks;
#[path = "program/faults.rs"]
mod faults;
#[path = "program/held.rs"]
mod held;
#[path = "program/load.rs"]
mod load;
#[path = "program/moving.rs"]
mod moving;
#[path = "program/operator.rs"]
mod operator;
#[path = "program/postgres.rs"]
mod postgres;
#[path = "program/process.rs"]
mod process;
#[path = "program/serve.rs"]
mod serve;
#[path = "program/tls.rs"]
mod tls;
