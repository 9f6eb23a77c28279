//! Which of a few lines hold which input rows.

/// Lines, each of which holds an input row (of the continued input) or none.
#[derive(Debug, Default)]
pub(in crate::cpu) struct Window {
    /// Rows that are held, in rising order, and their lines.
    held: Vec<(isize, usize)>,
    /// Lines that hold nothing.
    free: Vec<usize>,
    /// What will be held.
    next: Vec<(isize, usize)>,
}

impl Window {
    /// So many lines that hold nothing.
    pub fn clear(&mut self, count: usize) {
        self.held.clear();
        self.free.clear();
        self.free.extend(0..count);
    }

    /// Sees to it that lines hold these rows, which rise, and tells which: `lines[i]` for `rows[i]`.
    /// `fill` fills a line anew. There must be as many lines as rows.
    pub fn slide(
        &mut self,
        rows: &[isize],
        lines: &mut Vec<usize>,
        mut fill: impl FnMut(usize, isize),
    ) {
        let Self { held, free, next } = self;
        // Rows that are no longer needed make room first.
        let mut wanted = rows.iter().peekable();
        held.retain(|(row, line)| {
            while wanted.next_if(|wanted| *wanted < row).is_some() {}
            let needed = wanted.peek() == Some(&row);
            if !needed {
                free.push(*line);
            }
            needed
        });
        next.clear();
        lines.clear();
        let mut there = held.iter().peekable();
        for row in rows {
            let line = match there.next_if(|held| held.0 == *row) {
                Some((_, line)) => *line,
                None => {
                    let line = free.pop().unwrap_or(0);
                    fill(line, *row);
                    line
                }
            };
            next.push((*row, line));
            lines.push(line);
        }
        std::mem::swap(held, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_only_what_is_new() {
        let mut window = Window::default();
        window.clear(4);
        let mut contents = [isize::MIN; 4];
        let mut lines = Vec::new();
        let steps: [(&[isize], usize); 5] =
            [(&[-1, 0, 1, 2], 4), (&[1, 2, 3, 4], 2), (&[1, 3, 9], 1), (&[0, 9], 1), (&[5], 1)];
        for (rows, new) in steps {
            let mut filled = 0;
            window.slide(rows, &mut lines, |line, row| {
                contents[line] = row;
                filled += 1;
            });
            assert_eq!(filled, new, "{rows:?}");
            assert_eq!(lines.iter().map(|line| contents[*line]).collect::<Vec<_>>(), rows);
        }
    }
}
