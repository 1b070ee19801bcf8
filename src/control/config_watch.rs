//! The files of the configuration, where `process.watch_config` asks for it: told of when what they
//! hold has changed, and not for every change in their folders.

use std::path::PathBuf;

use super::file_watch::{FileWatch, folder_of};

/// Watches them, or does not.
#[derive(Debug)]
pub(super) struct ConfigWatch {
    files: Vec<PathBuf>,
    is_on: bool,
    watch: FileWatch,
    /// What they held when they were read last; `None` for one that could not be read.
    contents: Vec<Option<Vec<u8>>>,
}

impl ConfigWatch {
    /// The files, which were read just now.
    pub(super) fn new(files: Vec<PathBuf>, is_on: bool) -> ConfigWatch {
        let watch = FileWatch::new("the files of the configuration");
        let mut config = ConfigWatch { files, is_on: false, watch, contents: Vec::new() };
        config.contents = config.read();
        config.switch(is_on);
        config
    }

    /// Begins to watch, or ends.
    pub(super) fn switch(&mut self, is_on: bool) {
        self.is_on = is_on;
        match is_on {
            true => self.watch.watch(self.files.iter().map(|file| folder_of(file))),
            false => self.watch.stop(),
        }
    }

    /// They are about to be read for whatever reason: only what changes after that is told of.
    pub(super) fn note(&mut self) {
        self.contents = self.read();
    }

    /// Waits until they hold something else.
    pub(super) async fn changed(&mut self) {
        loop {
            self.watch.changed().await;
            if self.is_on && self.read() != self.contents {
                return;
            }
            self.switch(self.is_on);
        }
    }

    fn read(&self) -> Vec<Option<Vec<u8>>> {
        self.files.iter().map(|file| std::fs::read(file).ok()).collect()
    }
}
