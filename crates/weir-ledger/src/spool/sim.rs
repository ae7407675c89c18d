//! A file system in memory that crashes: what was not synced is kept, lost or torn, as a seed decides.
//!
//! Stricter than most disks: each 512-byte sector of an unsynced write survives or not by itself, and names are
//! durable only once their folder was synced. Renames of folders are durable at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile, Lock};

const SECTOR: usize = 512;

/// A simulated disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

#[derive(Debug, Default)]
struct World {
    dirs: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    files: Vec<Content>,
    locks: BTreeSet<usize>,
    capacity: Option<u64>,
    operations: u64,
    crash_at: Option<u64>,
    refuses_writes: bool,
}

#[derive(Debug, Clone, Default)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(usize, usize)>,
}

/// Numbers that a seed decides (SplitMix64).
#[derive(Debug, Clone)]
pub struct Seeded(pub u64);

impl Seeded {
    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % limit.max(1)
    }
}

impl SimDisk {
    /// An empty disk without limit.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// Limits how many bytes all files may take.
    pub fn limit(&self, bytes: Option<u64>) {
        self.world.lock().capacity = bytes;
    }

    /// Lets writes fail, or not any more.
    pub fn refuse_writes(&self, refuse: bool) {
        self.world.lock().refuses_writes = refuse;
    }

    /// Lets every operation from the `count`-th from now on fail, as if the machine had died.
    pub fn die_after(&self, count: u64) {
        let mut world = self.world.lock();
        world.crash_at = Some(world.operations + count);
    }

    /// The disk as the next start finds it.
    pub fn crash(&self, random: &mut Seeded) -> SimDisk {
        let world = self.world.lock();
        let mut names = BTreeMap::new();
        for (path, file) in world.names.iter().chain(&world.durable_names) {
            let now = world.names.get(path) == Some(file);
            let before = world.durable_names.get(path) == Some(file);
            if (now && before) || random.below(2) == 0 {
                names.insert(path.clone(), *file);
            }
        }
        let files = world.files.iter().map(|file| file.after_crash(random)).collect();
        let survivor = World {
            dirs: world.dirs.clone(),
            durable_names: names.clone(),
            names,
            files,
            ..World::default()
        };
        SimDisk { world: Arc::new(Mutex::new(survivor)) }
    }

    fn operate<T>(&self, operation: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        let mut world = self.world.lock();
        world.operations += 1;
        if world.crash_at.is_some_and(|at| world.operations >= at) {
            return Err(io::Error::other("the machine is dead"));
        }
        operation(&mut world)
    }

    fn handle(&self, file: usize) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { disk: self.clone(), file })
    }
}

impl Content {
    fn after_crash(&self, random: &mut Seeded) -> Content {
        let mut survived = self.durable.clone();
        if random.below(2) == 0 && !self.unsynced.is_empty() {
            survived.resize(self.cached.len(), 0);
        }
        for (from, to) in &self.unsynced {
            for at in (*from..*to).step_by(SECTOR) {
                let end = (at + SECTOR).min(*to).min(self.cached.len());
                if at < end && random.below(2) == 0 {
                    survived.resize(survived.len().max(end), 0);
                    survived[at..end].copy_from_slice(&self.cached[at..end]);
                }
            }
        }
        Content { cached: survived.clone(), durable: survived, unsynced: Vec::new() }
    }
}

impl World {
    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn add(&mut self, path: &Path) -> usize {
        self.files.push(Content::default());
        self.names.insert(path.to_owned(), self.files.len() - 1);
        self.files.len() - 1
    }

    fn check_space(&self, more: usize) -> io::Result<()> {
        let used: usize = self.names.values().map(|file| self.files[*file].cached.len()).sum();
        match self.capacity {
            Some(capacity) if (used + more) as u64 > capacity => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.operate(|world| {
            world.dirs.extend(dir.ancestors().map(Path::to_owned));
            Ok(())
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.operate(|world| {
            if !world.dirs.contains(dir) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let inside = |path: &&PathBuf| path.parent() == Some(dir);
            let paths = world.dirs.iter().filter(inside).chain(world.names.keys().filter(inside));
            Ok(paths.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
        })
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.operate(|world| match world.find(path) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => Ok(world.add(path)),
        })?;
        Ok(self.handle(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.handle(self.operate(|world| world.find(path))?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(|world| {
            if world.dirs.remove(from) {
                world.dirs.insert(to.to_owned());
                for names in [&mut world.names, &mut world.durable_names] {
                    let moved = std::mem::take(names).into_iter();
                    *names = moved
                        .map(|(path, file)| {
                            (path.strip_prefix(from).map_or(path.clone(), |rest| to.join(rest)), file)
                        })
                        .collect();
                }
                return Ok(());
            }
            let file = world.find(from)?;
            world.names.remove(from);
            world.names.insert(to.to_owned(), file);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.operate(|world| {
            world.find(path)?;
            world.names.remove(path);
            Ok(())
        })
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.operate(|world| {
            let full = world.names.keys().any(|path| path.parent() == Some(dir));
            if full || !world.dirs.remove(dir) {
                Err(io::Error::other("not an empty folder"))
            } else {
                Ok(())
            }
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.operate(|world| {
            let inside = |path: &PathBuf| path.parent() == Some(dir);
            world.durable_names.retain(|path, _| !inside(path));
            let now = world.names.iter().filter(|(path, _)| inside(path));
            world.durable_names.extend(now.map(|(path, file)| (path.clone(), *file)));
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.operate(|world| {
            let file = world.find(path).unwrap_or_else(|_| world.add(path));
            let free = world.locks.insert(file);
            Ok(free.then(|| Box::new(SimLock { disk: self.clone(), file }) as Box<dyn Lock>))
        })
    }

    fn free(&self, _dir: &Path) -> io::Result<u64> {
        self.operate(|world| Ok(world.capacity.unwrap_or(1 << 40)))
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    file: usize,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.world.lock().locks.remove(&self.file);
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.operate(|world| {
            if world.refuses_writes {
                return Err(io::Error::other("refused"));
            }
            let end = offset as usize + bytes.len();
            world.check_space(end.saturating_sub(world.files[self.file].cached.len()))?;
            let file = &mut world.files[self.file];
            file.cached.resize(file.cached.len().max(end), 0);
            file.cached[offset as usize..end].copy_from_slice(bytes);
            file.unsynced.push((offset as usize, end));
            Ok(())
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.operate(|world| {
            let cached = world.files[self.file].cached.get(offset as usize..).unwrap_or_default();
            let count = cached.len().min(buffer.len());
            buffer[..count].copy_from_slice(&cached[..count]);
            Ok(count)
        })
    }

    fn allocate(&self, from: u64, to: u64) -> io::Result<()> {
        self.disk.operate(|world| {
            world.check_space((to as usize).saturating_sub(world.files[self.file].cached.len()))?;
            let file = &mut world.files[self.file];
            file.cached.resize(file.cached.len().max(to as usize), 0);
            file.unsynced.push((from as usize, from as usize));
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.operate(|world| {
            world.files[self.file].cached.truncate(len as usize);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.operate(|world| {
            let file = &mut world.files[self.file];
            file.durable.clone_from(&file.cached);
            file.unsynced.clear();
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.operate(|world| Ok(world.files[self.file].cached.len() as u64))
    }
}
