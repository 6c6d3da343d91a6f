//! What kind of machine this is, as far as it bears on measuring: CPUs, their
//! frequency and their neighbours, the kernel, a hypervisor.
//!
//! Everything is read from `/sys` and `/proc` below a root that is given, so
//! that tests hand it a made-up tree. What cannot be read is unknown, never an
//! error: other systems have none of these files, and containers few. It does
//! not know what is measured. Start with [`read`]; `advice.rs` says what stands
//! in the way of good figures, and how to change it.

mod advice;
mod cgroup;
mod cpus;
mod facts;
mod room;
mod stolen;
mod topology;
mod tree;

pub use advice::{Surroundings, advise};
pub use cpus::{Cpus, pin, raise_file_limit};
#[cfg(test)]
pub use facts::CpuFacts;
pub use facts::{HostFacts, governors, read};
pub use room::{Need, Room, refused_by_system, shortages};
pub use stolen::{HostMeter, HostUse, read_again};

#[cfg(test)]
mod tests;
