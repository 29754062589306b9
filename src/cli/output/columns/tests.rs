//! Tables that fit, and those that do not.

use super::*;

fn table(width: Option<usize>) -> String {
    let rows = [["alice", "both keys work until noon", "now"], ["bob-the-builder", "done", "never again, I hope"]];
    let rows = rows.into_iter().map(|row| row.map(Cell::from));
    columns(["USER", "STEP", "NEXT"], [Fold::Last, Fold::First, Fold::First], rows, Paint(false), width)
}

#[test]
fn columns_are_aligned_and_harmless() {
    let rows = [["a", "x\u{1b}y"], ["longer", "z"]].into_iter().map(|row| row.map(Cell::from));
    let text = columns(["ONE", "TWO"], [Fold::Never, Fold::Never], rows, Paint(false), None);
    assert_eq!(text, "ONE     TWO\na       x\\u{1b}y\nlonger  z\n");
}

#[test]
fn a_table_that_is_too_wide_is_folded_in_its_flexible_columns() {
    let wide = "\
USER             STEP                       NEXT
alice            both keys work until noon  now
bob-the-builder  done                       never again, I hope
";
    assert_eq!(table(None), wide);
    assert_eq!(table(Some(80)), wide);
    let narrow = "\
USER             STEP                 NEXT
alice            both keys work       now
                 until noon
bob-the-builder  done                 never again, I
                                      hope
";
    assert_eq!(table(Some(52)), narrow);
    assert!(table(Some(40)).contains("bob-the-buil  done"), "{}", table(Some(40)));
    let blocks = "\
USER  alice
STEP  both keys work until noon
NEXT  now

USER  bob-the-builder
STEP  done
NEXT  never again, I hope
";
    assert_eq!(table(Some(39)), blocks);
    assert!(table(Some(10)).lines().all(|line| line.len() <= 10), "{}", table(Some(10)));
}

#[test]
fn a_key_id_is_cut_last() {
    let rows = [["payments-reconciliation/production", "deleted-old: rotated", "new key AKIAIOSFODNN7EXAMPLE"]];
    let rows = |width| {
        let rows = rows.into_iter().map(|row| row.map(Cell::from));
        columns(["USER", "STEP", "NEXT"], [Fold::Last, Fold::First, Fold::First], rows, Paint(false), Some(width))
    };
    for width in [80, 60, 50] {
        let text = rows(width);
        assert!(text.contains("AKIAIOSFODNN7EXAMPLE"), "{text}");
        assert!(text.lines().all(|line| line.len() <= width), "{text}");
    }
    assert!(rows(40).lines().all(|line| line.len() <= 40), "{}", rows(40));
}

#[test]
fn at_the_usual_width_names_and_ids_are_whole_and_the_place_gives_way() {
    let table = |name: &str, used: &str, width| {
        let row = [
            name,
            "AKIAIOSFODNN7EXAMPLE",
            "100d",
            used,
            "blocked (1)",
            "payments-reconciliation/production (2 entries)",
        ];
        let folds = [Fold::Last, Fold::Never, Fold::Never, Fold::First, Fold::First, Fold::Below];
        let head = ["USER", "KEY", "AGE", "LAST USED", "DUE", "WHERE"];
        columns(head, folds, [row.map(Cell::from)].into_iter(), Paint(false), Some(width))
    };
    let text = "\
USER             KEY                   AGE   LAST USED     DUE
  WHERE
shop-production  AKIAIOSFODNN7EXAMPLE  100d  3h ago (sts)  blocked (1)
  payments-reconciliation/production (2 entries)
";
    assert_eq!(table("shop-production", "3h ago (sts)", 80), text);
    // All words fit beside one another.
    let words =
        ["mailer-production", "AKIAIOSFODNN7EXAMPLE", "100d", "just now (sts)", "now", "x/.env AWS_ACCESS_KEY_ID"];
    let folds = [Fold::Last, Fold::Never, Fold::Never, Fold::First, Fold::First, Fold::Below];
    let head = ["USER", "KEY", "AGE", "LAST USED", "DUE", "WHERE"];
    let text = columns(head, folds, [words.map(Cell::from)].into_iter(), Paint(false), Some(80));
    assert!(text.lines().all(|line| line.len() <= 80) && text.ends_with("  AWS_ACCESS_KEY_ID\n"), "{text}");
    assert!(text.starts_with("USER               KEY                   AGE   LAST USED  DUE  WHERE\n"), "{text}");
    for length in 1..=LONGEST_NAME {
        let name = "n".repeat(length);
        let text = table(&name, "just now (secretsmanager)", 80);
        let is_row = |line: &str| line.starts_with(&format!("{name} ")) && line.contains("  AKIAIOSFODNN7EXAMPLE  ");
        assert!(text.lines().any(is_row) || text.contains(&format!("USER       {name}\n")), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
    assert!(table("shop", "never", 40).lines().all(|line| line.len() <= 40));
    assert!(table("shop", "never", 200).contains("blocked (1)  payments-reconciliation/production (2 entries)"));
}

#[test]
fn colours_do_not_change_the_layout() {
    let rows = [[Cell::new(Style::Bad, "no"), Cell::from("x")], [Cell::from("longer"), Cell::from("y")]];
    let text = columns(["A", "B"], [Fold::Never, Fold::Never], rows.into_iter(), Paint(true), None);
    assert_eq!(text, "\u{1b}[1mA       B\u{1b}[0m\n\u{1b}[31mno\u{1b}[0m      x\nlonger  y\n");
}
