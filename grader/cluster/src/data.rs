//! The folder of a cluster that outlives its process (`--data-dir`): its store, its certificates, its port.
//!
//! One process uses it at a time: it holds a lock on a file there, which the system takes back however the process ends.

use anyhow::{Context, Result, bail};
use kit_store::{Disk, Options};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};

/// The folder, as long as this process uses it.
pub struct DataDir {
    folder: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Takes the folder for this process, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// If it can't be written, and if another process uses it.
    pub fn take(folder: &Path) -> Result<DataDir> {
        std::fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let path = folder.join("lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut lock = open.with_context(|| format!("can't write {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                _ = lock.read_to_string(&mut holder);
                bail!(
                    "{} is in use by another cluster (process {}); end that one, or give this one a folder of its own",
                    folder.display(),
                    holder.trim()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("can't lock {}", path.display()));
            }
        }
        lock.set_len(0)?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(DataDir { folder: folder.to_path_buf(), _lock: lock })
    }

    /// Where the certificates lie.
    pub fn pki(&self) -> PathBuf {
        self.folder.join("pki")
    }

    /// The store.
    ///
    /// # Errors
    ///
    /// If it can't be read or isn't a store.
    pub fn store(&self) -> Result<Disk> {
        let store = Disk::open(&self.folder.join("store.redb"), Options::default())?;
        // A new file is safe once its folder says so.
        File::open(&self.folder).and_then(|folder| folder.sync_all()).context("can't sync the data folder")?;
        Ok(store)
    }

    /// The port of the last start, if nobody has it now; 0 otherwise.
    pub fn port(&self, listen: IpAddr) -> u16 {
        let port = std::fs::read_to_string(self.port_file()).ok().and_then(|port| port.trim().parse().ok());
        port.filter(|port| TcpListener::bind((listen, *port)).is_ok()).unwrap_or(0)
    }

    /// Keeps the port for the next start.
    ///
    /// # Errors
    ///
    /// If it can't be written.
    pub fn keep_port(&self, port: u16) -> Result<()> {
        let part = self.port_file().with_extension("part");
        std::fs::write(&part, format!("{port}\n")).and_then(|()| std::fs::rename(&part, self.port_file()))?;
        Ok(())
    }

    fn port_file(&self) -> PathBuf {
        self.folder.join("port")
    }
}
