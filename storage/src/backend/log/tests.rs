//! The log on a disk that loses power, fills up and fails; on the machine's own it runs in `tests/`.

mod disk;
mod faults;
mod power;
mod reader;
mod streams;
