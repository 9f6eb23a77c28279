//! Journals, what they are believed, and files that come to their place.

use super::*;
use crate::store::positioned;

fn writer(number: usize, of: usize, resume: bool) -> Writer {
    Writer { number, of, resume, job: "a job".into() }
}

const WHOLE: Window = Window { images: 0..1, rows: 0..4, columns: 0..10 };

fn row(n: usize) -> Window {
    Window::new(0..1, n..n + 1, 0..10)
}

fn open(place: &Path, writer: Writer) -> (Partial, File) {
    Partial::open(place, (b"head", 44), &WHOLE, writer).unwrap()
}

fn put((partial, file): &mut (Partial, File), n: usize) {
    positioned::write(file, 4 + 10 * n as u64, &[n as u8; 10]).unwrap();
    partial.wrote(file, &row(n)).unwrap();
}

fn end((partial, file): &mut (Partial, File)) -> bool {
    partial.finish(file, || Ok(())).unwrap()
}

#[test]
fn what_is_empty_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("y.npy");
    let there = || fs::read_dir(folder.path()).unwrap().count();
    let alone = open(&place, writer(1, 1, false));
    assert!(there() == 2 && alone.0.discard() && there() == 0);
    let mut wrote = open(&place, writer(1, 1, false));
    put(&mut wrote, 0);
    assert!(!wrote.0.discard() && there() == 2);
    assert!(!open(&place, writer(1, 1, true)).0.discard() && there() == 2);
    let shared = open(&folder.path().join("z.npy"), writer(2, 3, false));
    assert!(!shared.0.discard() && there() == 4);
}

#[test]
fn several_write_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("y.npy");
    let mut first = open(&place, writer(1, 2, false));
    let mut second = open(&place, writer(2, 2, false));
    (0..2).for_each(|n| put(&mut first, n));
    put(&mut second, 2);
    assert!(!end(&mut first) && !place.exists());
    // Killed, and begun again: what it wrote is there.
    drop(second);
    let mut again = open(&place, writer(2, 2, true));
    assert!(again.0.has(&row(0)) && again.0.has(&row(2)) && !again.0.has(&row(3)));
    put(&mut again, 3);
    assert!(end(&mut again) && place.exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let all = fs::read(&place).unwrap();
    assert_eq!(&all[..4], b"head");
    assert!((0..4).all(|n| all[4 + 10 * n..14 + 10 * n].iter().all(|b| *b == n as u8)));
    // Of another that ended in the same moment.
    assert!(end(&mut first));
}

/// What was written twice does not stand for what was not.
#[test]
fn all_is_there_when_nothing_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("y.npy");
    let mut half = open(&place, writer(1, 2, false));
    (0..2).for_each(|n| put(&mut half, n));
    assert!(!end(&mut half));
    // As many again, by others who cut it in four: the second half is not there.
    for number in [1, 2] {
        let mut quarter = open(&place, writer(number, 4, false));
        put(&mut quarter, number - 1);
        assert!(!end(&mut quarter) && !place.exists(), "{number}");
    }
    for number in [3, 4] {
        let mut quarter = open(&place, writer(number, 4, false));
        put(&mut quarter, number - 1);
        assert_eq!(end(&mut quarter), number == 4);
    }
    assert!(place.exists());

    let whole = Window::new(0..3, 0..8, 0..9);
    let parts = [
        Window::new(0..2, 0..8, 0..9),
        Window::new(2..3, 0..5, 0..4),
        Window::new(2..3, 0..5, 4..9),
        Window::new(2..3, 4..8, 0..9),
    ];
    assert!(cover(parts.to_vec(), &whole));
    for missing in 0..parts.len() {
        let mut rest = parts.to_vec();
        rest[missing] = parts[(missing + 1) % parts.len()].clone();
        assert!(!cover(rest, &whole), "without {missing}");
    }
    assert!(!cover(Vec::new(), &whole));
}

#[test]
fn what_is_not_sure_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("y.npy");
    let mut all = open(&place, writer(1, 1, false));
    (0..3).for_each(|n| put(&mut all, n));
    let journal = folder.path().join("y.npy.partial.1-of-1");
    let mut text = fs::read_to_string(&journal).unwrap();
    // Cut off in the middle of a line.
    fs::write(&journal, &text[..text.len() - 3]).unwrap();
    let resumed = open(&place, writer(1, 1, true));
    assert!(resumed.0.has(&row(1)) && !resumed.0.has(&row(2)));
    // Of another start of the machine, but for what was brought to the disk.
    if let Some(boot) = boot() {
        text = text.replace(&boot, "another");
        let (before, after) = text.split_at(text.find("0 1 1 2").unwrap());
        fs::write(&journal, format!("{before}{MARK}\n{after}")).unwrap();
        let resumed = open(&place, writer(1, 1, true));
        assert!(resumed.0.has(&row(0)) && !resumed.0.has(&row(1)));
    }
    // Another job does not go on with it, but may begin anew.
    let other = |resume| Writer { job: "another".into(), ..writer(1, 1, resume) };
    let refused = Partial::open(&place, (b"head", 44), &WHOLE, other(true)).unwrap_err();
    assert!(refused.to_string().contains("another job"), "{refused}");
    let (fresh, _) = Partial::open(&place, (b"head", 44), &WHOLE, other(false)).unwrap();
    assert!(!fresh.has(&row(0)));
    let short = Partial::open(&place, (b"head", 50), &WHOLE, other(true)).unwrap_err();
    assert!(short.to_string().contains("another shape"), "{short}");
}
