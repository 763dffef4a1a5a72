//! Files into and out of containers: copies, tar streams, the whole root, and what changed against the image.
//!
//! The container's side is a descriptor of its root. Names on that side are resolved by the kernel inside that root
//! (`openat2`, RESOLVE_IN_ROOT and NO_MAGICLINKS), and what is found is used by descriptor: files that the container
//! swaps for links meanwhile lead nowhere else (CVE-2018-15664). Nothing of the container is run or loaded
//! (CVE-2019-14271). Pipes and devices are never opened. On the host's side the folder that receives things is the
//! caller's to name; below it no link is followed.
//!
//! The rules of names are those of `docker cp`: a folder goes into a folder that exists, becomes one that does not;
//! `/.` at the end means what is in it; a file replaces a file. Without `archive` what is made belongs to root inside
//! and to the caller outside.
//!
//! Source: Docker's command line reference, "docker container cp"; openat2(2).

pub mod changes;
mod copy;
mod place;
mod stream;
mod walk;
mod write;

use super::super::Limits;
use super::super::error::{Error, Kind};

pub use changes::{Change, ChangeKind, changes};
pub use copy::{copy_in, copy_out};
pub use stream::{export, tar_in, tar_out};
pub(crate) use write::copy_content;

/// How to copy.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions {
    /// Keeps owners and extended attributes (file capabilities), and makes devices inside.
    pub archive: bool,
    /// A source that is a symbolic link stands for what it leads to.
    pub follow: bool,
    /// Refuses to put a folder in the place of something else, and the other way round.
    pub no_overwrite_dir_non_dir: bool,
    /// The user and group of what is made without `archive`; by default root inside, the caller outside.
    pub owner: Option<(u32, u32)>,
    /// Bounds on tar streams from outside.
    pub limits: Limits,
    /// What messages call the thing that is copied from.
    pub noun: &'static str,
}

impl Default for CopyOptions {
    fn default() -> CopyOptions {
        CopyOptions {
            archive: false,
            follow: false,
            no_overwrite_dir_non_dir: true,
            owner: None,
            limits: Limits::default(),
            noun: "container",
        }
    }
}

/// Says what was being done when something failed; that it was stopped needs no more words.
fn during(error: Error, what: impl FnOnce() -> String) -> Error {
    if error.kind() == Kind::Interrupted { error } else { error.context(what()) }
}
