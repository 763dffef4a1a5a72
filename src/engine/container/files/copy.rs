//! Copies between the host and a container, descriptor to descriptor.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::super::super::cancel::Cancel;
use super::super::super::error::{OsContext, Result};
use super::super::super::inroot::Root;
use super::super::super::layer::tree::Tree;
use super::place::{Source, Target, host_source, host_target, root_source, root_target};
use super::walk::Walk;
use super::write::{Side, Writer};
use super::{CopyOptions, during};

/// Copies from the host into the container whose root this is. Links in `target` are followed inside the root.
///
/// # Errors
/// `not_found` for a missing source or folder; `invalid_argument` where a folder would take the place of something
/// else or the other way round; `unsupported` for what cannot be copied; `in_use` for a mount point; `permission`,
/// `interrupted`, `os`. What was copied whole by then remains.
pub fn copy_in(
    root: BorrowedFd<'_>,
    source: &Path,
    target: &str,
    options: &CopyOptions,
    cancel: &Cancel,
) -> Result<()> {
    cancel.check()?;
    let from = host_source(source, options.follow)?;
    let root = Root::from_fd(root, "/")?;
    let to = root_target(&root, target, &from)?;
    copy(root.fd(), &from, &to, Side::Inside, options, cancel)
}

/// Copies from the container whose root this is to the host. Below the target no link is followed. Of the whole root,
/// the kernel's mounts (`/proc`, `/sys`, `/dev`) are empty folders.
///
/// # Errors
/// As [`copy_in`]; devices are refused.
pub fn copy_out(
    root: BorrowedFd<'_>,
    source: &str,
    target: &Path,
    options: &CopyOptions,
    cancel: &Cancel,
) -> Result<()> {
    cancel.check()?;
    let from = root_source(&Root::from_fd(root, "/")?, source, options)?;
    let (folder, to) = host_target(target, &from)?;
    copy(folder.as_fd(), &from, &to, Side::Outside, options, cancel)
}

fn copy(
    root: BorrowedFd<'_>,
    from: &Source,
    to: &Target,
    side: Side,
    options: &CopyOptions,
    cancel: &Cancel,
) -> Result<()> {
    let tree = Tree::at(root.try_clone_to_owned().os(|| "duplicate a descriptor")?, false);
    let mut writer = Writer::new(tree, side, options, cancel);
    let mut walk = Walk::new(cancel).starting_at_root(from.name.is_none());
    if from.folder {
        let receiver = match to.contents {
            true => &to.path[..],
            false => to.path.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |at| &to.path[..at]),
        };
        walk = walk.avoiding(writer.tree.descriptor(receiver)?.as_fd())?;
    }
    let done = match to.contents {
        true => walk.contents(&from.handle, &to.path, &mut writer),
        false => walk.visit(&from.handle, &to.path, &mut writer),
    };
    done.map_err(|e| during(e, || format!("cannot copy {}", from.label)))
}
