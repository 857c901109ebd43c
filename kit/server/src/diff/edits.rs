//! Which items of a list stayed, and which came and went: a search from both ends that meets in the middle, and takes no
//! more steps than the lists are long, so that it finds good ways, not always the best.

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    Same,
    Gone,
    Come,
    /// Another, but much like it.
    Changed,
}

/// How alike two items are: how many of their values are equal, and how many aren't.
type Alike<'a> = &'a dyn Fn(usize, usize) -> (usize, usize);

/// A way from one end: its edits and how far it has come.
struct Way {
    edits: Vec<Edit>,
    x: usize,
    y: usize,
}

impl Way {
    /// Goes on by an edit; backwards from the far end.
    fn go(&mut self, edit: Edit, back: bool) {
        let step = |at: &mut usize| *at = if back { *at - 1 } else { *at + 1 };
        if edit != Edit::Come {
            step(&mut self.x);
        }
        if edit != Edit::Gone {
            step(&mut self.y);
        }
        self.edits.push(edit);
    }

    /// Goes to a place, by items that are like each other where there are such.
    fn connect(&mut self, (x, y): (usize, usize), alike: Alike<'_>, back: bool) {
        while self.x != x && self.y != y {
            let (same, changed) = if back { alike(self.x - 1, self.y - 1) } else { alike(self.x, self.y) };
            let (dx, dy) = (self.x.abs_diff(x), self.y.abs_diff(y));
            let longer = if back { dy < dx } else { dx >= dy };
            let edit = match (changed, same + 1 >= changed) {
                (0, _) => Edit::Same,
                (_, true) => Edit::Changed,
                _ if longer => Edit::Gone,
                _ => Edit::Come,
            };
            self.go(edit, back);
        }
        while self.x != x {
            self.go(Edit::Gone, back);
        }
        while self.y != y {
            self.go(Edit::Come, back);
        }
    }
}

/// The edits that lead from one list to another, given by their lengths and how alike two of their items are.
pub fn edits(old: usize, new: usize, alike: impl Fn(usize, usize) -> (usize, usize)) -> Vec<Edit> {
    let equal = |x: usize, y: usize| alike(x, y).1 == 0;
    let mut ahead = Way { edits: Vec::new(), x: 0, y: 0 };
    let mut back = Way { edits: Vec::new(), x: old, y: new };
    let (mut near, mut far) = ((0, 0), (old, new));
    let mut budget = 4 * (old + new);
    // go-cmp begins at either end, by chance; it begins at the far one where it writes the blanks that `text` writes.
    let mut forward = false;
    while near.0 < far.0 && near.1 < far.1 && budget > 0 {
        let (mut stop, mut turn) = ([false; 2], 0_isize);
        while stop != [true; 2] && budget > 0 {
            let z = if turn & 1 == 0 { turn >> 1 } else { !turn >> 1 };
            turn += 1;
            let (x, y) = if forward {
                (near.0 as isize + z, near.1 as isize - z)
            } else {
                (far.0 as isize - z, far.1 as isize + z)
            };
            let [low_x, low_y, high_x, high_y] = [ahead.x, ahead.y, back.x, back.y].map(|at| at as isize);
            let (first, second) = if forward {
                (x >= high_x || y < low_y, y >= high_y || x < low_x)
            } else {
                (low_x >= x || high_y < y, low_y >= y || high_x < x)
            };
            if first {
                stop[0] = true;
                continue;
            }
            if second {
                stop[1] = true;
                continue;
            }
            let (x, y) = (x as usize, y as usize);
            if forward && equal(x, y) {
                ahead.connect((x, y), &alike, false);
                ahead.go(Edit::Same, false);
                while ahead.x < back.x && ahead.y < back.y && equal(ahead.x, ahead.y) {
                    ahead.go(Edit::Same, false);
                }
                near = (ahead.x, ahead.y);
                break;
            }
            if !forward && equal(x - 1, y - 1) {
                back.connect((x, y), &alike, true);
                back.go(Edit::Same, true);
                while ahead.x < back.x && ahead.y < back.y && equal(back.x - 1, back.y - 1) {
                    back.go(Edit::Same, true);
                }
                far = (back.x, back.y);
                break;
            }
            budget -= 1;
        }
        // A step to the side that is longer, for the next search from this end.
        if forward {
            let wide = back.x as isize - near.0 as isize >= back.y as isize - near.1 as isize;
            *(if wide { &mut near.0 } else { &mut near.1 }) += 1;
        } else {
            let wide = far.0 as isize - ahead.x as isize >= far.1 as isize - ahead.y as isize;
            let side = if wide { &mut far.0 } else { &mut far.1 };
            *side = side.saturating_sub(1);
        }
        forward = !forward;
    }
    ahead.connect((back.x, back.y), &alike, false);
    ahead.edits.extend(back.edits.iter().rev());
    ahead.edits
}
