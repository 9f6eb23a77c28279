//! A file that many write parts of, and that comes to its place when it is whole.
//!
//! ```text
//! y.npy.partial           what is written so far, of full length from the start
//! y.npy.partial.2-of-7    which parts of it process 2 of 7 wrote: a journal, a line for each
//! y.npy                   there as soon as the journals have all
//! ```
//!
//! A line goes into a journal after what it tells of, so that a process may be killed at any time: what a journal
//! tells is there. For a machine that loses its power there are marks where all was brought to the disk; lines behind
//! the last mark are believed only as long as the machine that wrote them has not been started anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Window;

/// How often what is written is brought to the disk.
const SYNCED: Duration = Duration::from_secs(15);

/// The first word of a journal, and a mark in it.
const MAGIC: &str = "channelwise-journal-1";
const MARK: &str = "synced";

/// Which of several processes writes, and whether it goes on with what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Writer {
    pub number: usize,
    pub of: usize,
    pub resume: bool,
    /// What is done; another job does not go on with it.
    pub job: String,
}

/// A file on its way.
#[derive(Debug)]
pub(super) struct Partial {
    place: PathBuf,
    partial: PathBuf,
    writer: Writer,
    journal: File,
    /// What is written, by all as far as was asked for.
    done: Done,
    synced: Instant,
    /// Whether anything was, by this process.
    wrote: bool,
    /// All that is to be written.
    whole: Window,
}

fn appended(path: &Path, with: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(with);
    name.into()
}

/// What tells one start of this machine from the next, and from another machine.
fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_string())
}

/// Windows by where they begin, so that what is in one of them is found soon.
#[derive(Debug, Default)]
struct Done {
    windows: BTreeMap<(usize, usize), Vec<Window>>,
    /// Images and rows of the largest.
    most: (usize, usize),
}

impl Done {
    fn extend(&mut self, windows: Vec<Window>) {
        for window in windows {
            let [images, rows, _] = window.size();
            self.most = (self.most.0.max(images), self.most.1.max(rows));
            let place = (window.images.start, window.rows.start);
            self.windows.entry(place).or_default().push(window);
        }
    }

    fn has(&self, window: &Window) -> bool {
        let (image, row) = (window.images.start, window.rows.start);
        let first = |at: usize, most: usize| (at + 1).saturating_sub(most);
        (first(image, self.most.0)..=image).any(|image| {
            let rows = (image, first(row, self.most.1))..=(image, row);
            self.windows.range(rows).flat_map(|(_, all)| all).any(|done| done.contains(window))
        })
    }
}

/// Whether some windows are all of another together, however they overlap: those of shares that were cut otherwise do.
fn cover(mut windows: Vec<Window>, whole: &Window) -> bool {
    windows.sort_by_key(|window| window.images.start);
    let ends = windows.iter().flat_map(|window| [window.images.start, window.images.end]);
    let at: BTreeSet<usize> = ends.chain([whole.images.start, whole.images.end]).collect();
    let at: Vec<usize> = at.into_iter().filter(|n| *n <= whole.images.end).collect();
    let mut coming = windows.into_iter().peekable();
    let mut open: Vec<Window> = Vec::new();
    at.windows(2).all(|images| {
        open.retain(|window| window.images.end > images[0]);
        while let Some(window) = coming.next_if(|window| window.images.start <= images[0]) {
            open.push(window);
        }
        covers_image(&mut open, whole)
    })
}

/// The same of one image: whether the rows of each run of columns follow one another from first to last.
fn covers_image(windows: &mut [Window], whole: &Window) -> bool {
    windows.sort_by_key(|window| window.rows.start);
    let ends = windows.iter().flat_map(|window| [window.columns.start, window.columns.end]);
    let at: BTreeSet<usize> = ends.chain([whole.columns.start, whole.columns.end]).collect();
    let at: Vec<usize> = at.into_iter().collect();
    at.windows(2).all(|columns| {
        let there = windows.iter().filter(|window| {
            window.columns.start <= columns[0] && columns[1] <= window.columns.end
        });
        let reached = there.fold(whole.rows.start, |reached, window| {
            if window.rows.start <= reached { reached.max(window.rows.end) } else { reached }
        });
        reached >= whole.rows.end
    })
}

/// A window as a line, and back.
fn line(window: &Window) -> String {
    let Window { images, rows, columns } = window;
    let numbers = [images.start, images.end, rows.start, rows.end, columns.start, columns.end];
    numbers.map(|n| n.to_string()).join(" ")
}

fn window(line: &str) -> Option<Window> {
    let numbers: Option<Vec<usize>> = line.split(' ').map(|n| n.parse().ok()).collect();
    match numbers?[..] {
        [a, b, c, d, e, f] => Some(Window::new(a..b, c..d, e..f)),
        _ => None,
    }
}

/// What a journal tells that can be believed; an error where it is of another job.
fn believed(path: &Path, job: &str) -> io::Result<Vec<Window>> {
    let text = fs::read(path)?;
    let text = String::from_utf8_lossy(&text);
    // A line that is not at its end was cut off.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let mut lines = whole.lines();
    let Some(head) = lines.next() else { return Ok(Vec::new()) };
    if head != format!("{MAGIC} {job}") {
        let name = path.display();
        return Err(io::Error::other(format!(
            "{name} is of another job than this: remove it, or write to another place"
        )));
    }
    let (mut sure, mut all, mut booted) = (0, Vec::new(), None);
    for line in lines {
        if line == MARK {
            sure = all.len();
        } else if let Some(id) = line.strip_prefix("boot ") {
            // Of what another start wrote only what is sure stays.
            if booted.replace(id.to_string()).is_some_and(|before| before != id) {
                all.truncate(sure);
            }
        } else {
            all.extend(window(line));
        }
    }
    if booted.is_none() || booted != boot() {
        all.truncate(sure);
    }
    Ok(all)
}

impl Partial {
    /// Begins a file of this length, which starts with `head`, or goes on with it; `whole` is all that is written.
    pub(super) fn open(
        place: &Path,
        (head, length): (&[u8], u64),
        whole: &Window,
        writer: Writer,
    ) -> io::Result<(Self, File)> {
        let partial = appended(place, ".partial");
        let mine = appended(&partial, &format!(".{}-of-{}", writer.number, writer.of));
        if !writer.resume && writer.of == 1 {
            // All is begun anew.
            for old in journals(&partial)?.into_iter().chain([partial.clone()]) {
                absent(fs::remove_file(old))?;
            }
        }
        let mut done = Done::default();
        if partial.exists() {
            for journal in journals(&partial)? {
                // That others are of this job is asked in any case.
                let there = believed(&journal, &writer.job)?;
                if writer.resume || journal != mine {
                    done.extend(there);
                }
            }
        } else {
            // Without the file they tell of nothing.
            for old in journals(&partial)? {
                absent(fs::remove_file(old))?;
            }
        }
        create(&partial, head, length)?;
        let file = OpenOptions::new().read(true).write(true).open(&partial)?;
        let mut start = vec![0; head.len()];
        let there = file.metadata()?.len();
        if there == length {
            super::positioned::read(&file, 0, &mut start)?;
        }
        if there != length || start != head {
            let name = partial.display();
            return Err(io::Error::other(format!(
                "{name} is of another shape or type than this: remove it, or write to another place"
            )));
        }
        // What cannot be believed is not told again.
        let own =
            if writer.resume { believed(&mine, &writer.job).or_else(nothing)? } else { Vec::new() };
        let mut text = format!("{MAGIC} {}\n", writer.job);
        if let Some(boot) = boot() {
            text += &format!("boot {boot}\n");
        }
        own.iter().for_each(|window| text += &(line(window) + "\n"));
        let fresh = appended(&mine, ".new");
        fs::write(&fresh, &text).and_then(|()| fs::rename(&fresh, &mine)).inspect_err(|_| {
            let _ = fs::remove_file(&fresh);
        })?;
        let journal = OpenOptions::new().append(true).open(&mine)?;
        let synced = Instant::now();
        let (place, whole) = (place.into(), whole.clone());
        Ok((Self { place, partial, writer, journal, done, synced, wrote: false, whole }, file))
    }

    /// Whether a window was written before.
    pub(super) fn has(&self, window: &Window) -> bool {
        self.done.has(window)
    }

    /// Notes a window that is written into `file`.
    pub(super) fn wrote(&mut self, file: &File, window: &Window) -> io::Result<()> {
        self.wrote = true;
        self.journal.write_all((line(window) + "\n").as_bytes())?;
        if self.synced.elapsed() > SYNCED {
            self.sync(file)?;
        }
        Ok(())
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_data()?;
        self.journal.write_all(format!("{MARK}\n").as_bytes())?;
        self.journal.sync_data()?;
        self.synced = Instant::now();
        Ok(())
    }

    /// Ends the work of this process: where all others are done too, the file comes to its place, after `before`.
    /// Whether it did.
    pub(super) fn finish(
        &mut self,
        file: &File,
        before: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<bool> {
        self.sync(file)?;
        let journals = journals(&self.partial)?;
        let mut all = Vec::new();
        for journal in &journals {
            // Another may have moved all to its place meanwhile.
            all.extend(believed(journal, &self.writer.job).or_else(nothing)?);
        }
        if !cover(all, &self.whole) {
            return Ok(self.is_moved());
        }
        if let Ok(there) = fs::metadata(&self.place) {
            file.set_permissions(there.permissions())?;
        }
        before()?;
        let moved = fs::rename(&self.partial, &self.place);
        if let Err(error) = moved {
            return if self.is_moved() { Ok(true) } else { Err(error) };
        }
        for journal in journals {
            absent(fs::remove_file(journal))?;
        }
        Ok(true)
    }

    /// Takes back what was begun, where it is this process's alone and nothing is written into it. Whether nothing is left.
    pub(super) fn discard(&self) -> bool {
        if self.writer.of > 1 || self.wrote || !self.done.windows.is_empty() {
            return false;
        }
        let own = journals(&self.partial).unwrap_or_default();
        own.into_iter()
            .chain([self.partial.clone()])
            .all(|path| absent(fs::remove_file(path)).is_ok())
    }

    /// Whether another process did the same.
    fn is_moved(&self) -> bool {
        !self.partial.exists() && self.place.exists()
    }

    /// What is written until all is.
    pub(super) fn path(&self) -> &Path {
        &self.partial
    }
}

/// That something is not there is what was wanted.
fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn nothing(error: io::Error) -> io::Result<Vec<Window>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) }
}

/// The journals beside a file.
fn journals(partial: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = match partial.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let name = partial.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".";
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let other = entry.file_name().to_string_lossy().into_owned();
        let numbers = other.strip_prefix(&name).and_then(|rest| rest.split_once("-of-"));
        if numbers.is_some_and(|(n, of)| n.parse::<usize>().is_ok() && of.parse::<usize>().is_ok())
        {
            found.push(folder.join(other));
        }
    }
    Ok(found)
}

/// Makes the file unless it is there: whoever finds it finds its start and its length.
fn create(partial: &Path, head: &[u8], length: u64) -> io::Result<()> {
    if partial.exists() {
        return Ok(());
    }
    let fresh = appended(partial, &format!(".{}.new", std::process::id()));
    let made = || {
        let mut file = File::create(&fresh)?;
        file.write_all(head)?;
        file.set_len(length)?;
        file.sync_all()?;
        match fs::hard_link(&fresh, partial) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // A file system without links: nobody else should begin in the same moment.
            Err(_) if !partial.exists() => fs::rename(&fresh, partial),
            other => other,
        }
    };
    let made = made();
    let removed = absent(fs::remove_file(&fresh));
    made.and(removed)
}

#[cfg(test)]
mod tests;
