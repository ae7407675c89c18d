//! The folders of the spool: one for each process that writes, named after it and locked by it.
//!
//! A folder is made under another name and gets its own only once its lock is held, so that nobody takes a new
//! process for a dead one. Whoever gets the lock of another folder owns what is in it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::disk::{Disk, Lock};

const LOCK: &str = "lock";
const SEGMENT: &str = ".seg";
const QUARANTINED: &str = ".quarantined";

/// One process's folder, and the lock on it.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) instance: Uuid,
    /// Held as long as the folder is used.
    _lock: Box<dyn Lock>,
}

impl Home {
    /// Makes the folder of a new process below `root`.
    pub(crate) fn create(disk: Arc<dyn Disk>, root: &Path, instance: Uuid) -> io::Result<Home> {
        let unnamed = root.join(format!(".{instance}.new"));
        disk.create_dir(&unnamed)?;
        let lock = disk.lock(&unnamed.join(LOCK))?;
        let lock = lock.ok_or_else(|| io::Error::other("a new folder of the spool is locked already"))?;
        let dir = root.join(instance.to_string());
        disk.rename(&unnamed, &dir)?;
        disk.sync_dir(&dir)?;
        disk.sync_dir(root)?;
        Ok(Home { disk, dir, instance, _lock: lock })
    }

    /// The folders below `root` that no process holds any more. Those that can't be looked at are left for later.
    pub(crate) fn adopt(disk: &Arc<dyn Disk>, root: &Path) -> io::Result<Vec<Home>> {
        let mut names = disk.list(root)?;
        names.sort();
        let adopted = names.iter().filter_map(|name| {
            let instance = Uuid::try_parse(name).ok()?;
            let dir = root.join(name);
            let lock = disk.lock(&dir.join(LOCK)).ok()??;
            Some(Home { disk: disk.clone(), dir, instance, _lock: lock })
        });
        Ok(adopted.collect())
    }

    /// The path of a segment.
    pub(crate) fn segment(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number:010}{SEGMENT}"))
    }

    /// The numbers of the segments that are there, in order, and how many stand in quarantine.
    pub(crate) fn segments(&self) -> io::Result<(Vec<u32>, u64)> {
        let names = self.disk.list(&self.dir)?;
        let number = |name: &String| name.strip_suffix(SEGMENT)?.parse().ok();
        let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok((numbers, names.iter().filter(|name| name.ends_with(QUARANTINED)).count() as u64))
    }

    /// Removes a segment.
    pub(crate) fn remove(&self, number: u32) -> io::Result<()> {
        match self.disk.remove(&self.segment(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Sets a damaged segment aside, for a person to look at.
    pub(crate) fn quarantine(&self, number: u32) -> io::Result<PathBuf> {
        let from = self.segment(number);
        let mut to = self.dir.join(format!("{number:010}{QUARANTINED}"));
        let names = self.disk.list(&self.dir)?;
        for copy in 1.. {
            if !names.iter().any(|name| to.ends_with(name)) {
                break;
            }
            to = self.dir.join(format!("{number:010}.{copy}{QUARANTINED}"));
        }
        self.disk.rename(&from, &to)?;
        self.disk.sync_dir(&self.dir)?;
        Ok(to)
    }

    /// Removes the folder if nothing but its lock is in it.
    pub(crate) fn remove_if_empty(&self) -> io::Result<bool> {
        if self.disk.list(&self.dir)?.iter().any(|name| name != LOCK) {
            return Ok(false);
        }
        self.disk.remove(&self.dir.join(LOCK))?;
        self.disk.remove_dir(&self.dir)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::disk::OsDisk;

    #[test]
    fn a_folder_is_adopted_only_when_its_process_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let home = Home::create(disk.clone(), dir.path(), Uuid::from_u128(5)).unwrap();
        assert!(Home::adopt(&disk, dir.path()).unwrap().is_empty());
        drop(home);
        let adopted = Home::adopt(&disk, dir.path()).unwrap();
        assert_eq!(adopted.iter().map(|home| home.instance.as_u128()).collect::<Vec<_>>(), [5]);
        assert!(Home::adopt(&disk, dir.path()).unwrap().is_empty(), "held by the first who came");
        assert!(adopted[0].remove_if_empty().unwrap());
        assert!(disk.list(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn what_is_quarantined_stays() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(Arc::new(OsDisk), dir.path(), Uuid::from_u128(6)).unwrap();
        for _ in 0..3 {
            home.disk.create(&home.segment(4)).unwrap();
            home.quarantine(4).unwrap();
        }
        assert_eq!(home.segments().unwrap(), (vec![], 3));
        assert!(!home.remove_if_empty().unwrap());
    }
}
