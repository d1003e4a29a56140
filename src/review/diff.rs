//! The difference of two texts, line by line: what a reviewer sees of an edit. The shortest edit (Myers), with a bound:
//! texts that have too little in common are shown as one taken out and the other put in.

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// It stands in both.
    Kept,
    /// It was taken out.
    Removed,
    /// It was put in.
    Added,
}

/// As many edits are looked for; the work is at most this times the lines.
const MOST_EDITS: usize = 500;

/// Every line of either text, in order, with what became of it.
#[must_use]
pub fn lines<'t>(before: &'t str, after: &'t str) -> Vec<(Edit, &'t str)> {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let same_start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (rest_old, rest_new) = (&old[same_start..], &new[same_start..]);
    let same_end = rest_old.iter().rev().zip(rest_new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (middle_old, middle_new) = (&rest_old[..rest_old.len() - same_end], &rest_new[..rest_new.len() - same_end]);

    let mut edits: Vec<_> = old[..same_start].iter().map(|line| (Edit::Kept, *line)).collect();
    match shortest(middle_old, middle_new) {
        Some(middle) => edits.extend(middle),
        None => {
            edits.extend(middle_old.iter().map(|line| (Edit::Removed, *line)));
            edits.extend(middle_new.iter().map(|line| (Edit::Added, *line)));
        }
    }
    edits.extend(old[old.len() - same_end..].iter().map(|line| (Edit::Kept, *line)));
    edits
}

/// The shortest edit, if it has no more steps than are looked for.
fn shortest<'t>(old: &[&'t str], new: &[&'t str]) -> Option<Vec<(Edit, &'t str)>> {
    let most = (old.len() + new.len()).min(MOST_EDITS);
    // For each diagonal (old minus new, shifted by `most + 1`) how far into the old text the best path reaches.
    let mut reach = vec![0_usize; 2 * most + 3];
    let mut steps: Vec<Vec<usize>> = Vec::new();
    for edits in 0..=most {
        steps.push(reach.clone());
        for diagonal in (most + 1 - edits..=most + 1 + edits).step_by(2) {
            let down = diagonal == most + 1 - edits
                || (diagonal != most + 1 + edits && reach[diagonal - 1] < reach[diagonal + 1]);
            let mut x = if down { reach[diagonal + 1] } else { reach[diagonal - 1] + 1 };
            let Some(mut y) = (x + most + 1).checked_sub(diagonal) else { continue };
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            reach[diagonal] = x;
            if x >= old.len() && y >= new.len() {
                return Some(walked_back(old, new, &steps, most));
            }
        }
    }
    None
}

/// The path that reached both ends, from its end.
fn walked_back<'t>(old: &[&'t str], new: &[&'t str], steps: &[Vec<usize>], most: usize) -> Vec<(Edit, &'t str)> {
    let (mut x, mut y, mut path) = (old.len(), new.len(), Vec::new());
    for (edits, reach) in steps.iter().enumerate().rev() {
        let diagonal = x + most + 1 - y;
        let down =
            diagonal == most + 1 - edits || (diagonal != most + 1 + edits && reach[diagonal - 1] < reach[diagonal + 1]);
        let from = if down { diagonal + 1 } else { diagonal - 1 };
        let (before_x, before_y) =
            if edits == 0 { (0, 0) } else { (reach[from], (reach[from] + most + 1).saturating_sub(from)) };
        while x > before_x && y > before_y && old[x - 1] == new[y - 1] {
            (x, y) = (x - 1, y - 1);
            path.push((Edit::Kept, old[x]));
        }
        if edits > 0 {
            if down {
                y -= 1;
                path.push((Edit::Added, new[y]));
            } else {
                x -= 1;
                path.push((Edit::Removed, old[x]));
            }
        }
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(before: &str, after: &str) -> String {
        let mark = |(edit, line): (Edit, &str)| match edit {
            Edit::Kept => format!(" {line}"),
            Edit::Removed => format!("-{line}"),
            Edit::Added => format!("+{line}"),
        };
        lines(before, after).into_iter().map(mark).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn says_what_was_taken_out_and_put_in() {
        assert_eq!(shown("a\nb\nc", "a\nx\nc"), " a|-b|+x| c");
        assert_eq!(shown("a\nb\nc\nd", "b\nc\nd\ne"), "-a| b| c| d|+e");
        assert_eq!(shown("", "a"), "+a");
        assert_eq!(shown("a", ""), "-a");
        assert_eq!(shown("a\nb", "a\nb"), " a| b");
        assert_eq!(shown("", ""), "");
    }

    #[test]
    fn texts_with_little_in_common_cost_no_more_than_their_lines() {
        let many = |word: &str| (0..4000).map(|n| format!("{word}{n}")).collect::<Vec<_>>().join("\n");
        let edits = lines(&many("a"), &many("b")).len();
        assert_eq!(edits, 8000);
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_out_of_it(before in "([abc]\n){0,12}", after in "([abc]\n){0,12}") {
            let edits = lines(&before, &after);
            let only = |wanted: Edit| -> Vec<&str> {
                edits.iter().filter(|(edit, _)| *edit == Edit::Kept || *edit == wanted).map(|(_, line)| *line).collect()
            };
            prop_assert_eq!(only(Edit::Removed), before.lines().collect::<Vec<_>>());
            prop_assert_eq!(only(Edit::Added), after.lines().collect::<Vec<_>>());
        }
    }
}
