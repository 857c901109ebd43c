//! # Volumes on a node: mounted, owned, written
//!
//! Before a container can start, its pod's volumes must be there: attached, mounted once for the node, mounted into the pod,
//! with files that the pod may write, or made from ConfigMaps and Secrets. You write what decides all of that on one node.
//!
//! About 60 minutes · builds on nothing · book: "Volumes on a node: mounted, owned, written" · stuck? `cargo grade hint storage/volumes`
//!
//! All types are in `kit::storage::volumes`.

use kit::storage::Volumes;
use kit::storage::volumes::{Change, Directory, Files, Late, Look, Missing, Node, Ownership, Payload, Projection};

#[derive(Default)]
struct Exercise;

impl Volumes for Exercise {
    /// What is to be done now, by what pods want and what is there. For each volume, by name, the first of these steps that
    /// has anything to do:
    ///
    /// 1. **Tear down.** `TearDown` each mount of a pod that isn't in the list, or doesn't have the volume.
    /// 2. **Mount.** For the first pod in the list that isn't `ending`, has the volume, and whose mount isn't there, isn't
    ///    `sure`, or is to be done again (`remount`). If the driver attaches the volume (`attach`), it must be in `reported` and in
    ///    `attached`. If it is for a single pod (`single`), no other pod may have a mount of it; a pod for which that is so is
    ///    passed over.
    ///    - A `block` volume: `Map`.
    ///    - One that needs its device mounted (`device`), which isn't, or not surely: `MountDevice`. The pod's turn comes later.
    ///    - Any other: `SetUp`.
    /// 3. **Unmount the device.** `UnmountDevice` if there is a device, sure or not, no mount, and no pod in the list that has
    ///    the volume.
    ///
    /// A step whose `kind` is that of the volume's failure isn't done before `at_ms` plus a pause: 500 ms after the first failure,
    /// twice as long after each further one, at most 122 s. Meanwhile it has nothing to do, and the next step is looked at.
    /// `again_ms` is the first time at which such a step can be done, if any was held up.
    ///
    /// The path of a device is what `attached` says, or else empty. `in_use` are the volumes with `attach` that a pod in the list has,
    /// or that have a device or a mount.
    fn reconcile(&self, node: &Node, now_ms: i64) -> Look {
        let _ = (node, now_ms);
        todo!(
            "for each volume: who has a mount and shouldn't, who should and hasn't, and does anybody need the device?"
        )
    }

    /// What is said of the pod of this name when it has waited for too long: names as in `spec.volumes`, sorted.
    ///
    /// `unmounted` are those without a mount that is `sure`. If there is none, nothing is said. `unattached` are those with `attach`
    /// that aren't in `reported` or aren't in `attached`. `unprocessed` are those of which no volume is known.
    fn late(&self, node: &Node, pod: &str) -> Option<Late> {
        let _ = (node, pod);
        todo!("which of the pod's volumes have no mount that is sure?")
    }

    /// Whose the files of a volume are when it is mounted for a pod with this `fs_group`.
    ///
    /// *Who gives the group.* Without an `fs_group`, nobody. The kubelet does for volumes without a `driver`. With one:
    ///
    /// - If the driver mounts with a group (`mounts_group`), it is told the group (`told`), and the kubelet changes nothing.
    /// - If the volume is read-only, or the policy is `None`: nobody.
    /// - `File`: the kubelet.
    /// - `ReadWriteOnceWithFSType`: the kubelet, if there is an `fs_type`, and `ReadWriteOnce` or `ReadWriteOncePod` is among
    ///   the access modes.
    ///
    /// *What the kubelet does.* Every entry gets the group. To every mode but those of links, bits are added and none taken away: `0660`, or
    /// `0440` if the volume is read-only; to directories also `2110`. But with `OnRootMismatch` nothing is done if the root, whose path is
    /// empty, has the group and all of these bits already.
    ///
    /// `changed` are the entries that are other than before.
    fn own(&self, files: &Files) -> Ownership {
        let _ = files;
        todo!("first who gives the group, then which bits are added to each mode")
    }

    /// The files that ConfigMaps, Secrets and the like become, by path.
    ///
    /// Without `items`, every key is a file of that name. With `items` each of these is a file at its `path`. The mode is that of
    /// the item, or else `default_mode`. Where two sources have a path, the later one wins.
    ///
    /// An error are all objects that aren't there, and for each object that is, the first item whose key it lacks; in the order of the
    /// sources, each once. What is `optional` can't be missing: then there are just no such files.
    fn project(&self, projection: &Projection) -> Result<Payload, Vec<Missing>> {
        let _ = projection;
        todo!("one source after the other: which files, or what is missing?")
    }

    /// How files get into a directory, so that no reader ever sees half of them. `stamp` is the name for a new directory. In this
    /// order:
    ///
    /// 1. If `data` is none, or the old `files` don't have just the paths and texts of the new ones (modes don't count): `Write` the new
    ///    ones into `stamp`, `Link` `..data_tmp` to `stamp`, `Rename` `..data_tmp` to `..data`.
    /// 2. For the first part of each path that isn't among the `links`, sorted: `Link` it to `..data/` and itself.
    /// 3. For each link that is the first part of an old path, and of no new one, sorted: `Unlink` it.
    /// 4. If something was written, and there was a `data`: `Remove` that directory.
    fn publish(&self, directory: &Directory, payload: &Payload, stamp: &str) -> Vec<Change> {
        let _ = (directory, payload, stamp);
        todo!("is anything to be written? then write beside the old files, and switch")
    }
}

kit::exercise!(Exercise: Volumes);
