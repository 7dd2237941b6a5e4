//! `audit verify`: what it finds, and what it lets pass.

use crate::enable::system;
use crate::sandbox::{Run, Sandbox, lines, sha256, skipped};
use serde_json::Value;

/// A sandbox whose record holds one `enable`, and the head that it printed.
fn recorded() -> (Sandbox, Vec<u8>, String) {
    let sb = Sandbox::new();
    let run = sb.run(&["enable", "-n", "influxdb"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let log = sb.log_bytes();
    (sb, log, run.head().to_owned())
}

fn verify(sb: &Sandbox, log: &[u8], args: &[&str]) -> Run {
    let file = sb.write("tmp/copy.jsonl", log);
    let run = sb.run(&[&["audit", "verify", file.to_str().expect("text")], args].concat());
    assert_eq!(
        std::fs::read(&file).expect("copy"),
        log,
        "verify only reads"
    );
    let expect = args
        .iter()
        .position(|arg| *arg == "--expect")
        .map(|at| args[at + 1]);
    shell_agrees(sb, &[file.to_str().expect("text")], expect, &run);
    run
}

/// What needs none of our code comes to the same end.
pub fn shell_agrees(sb: &Sandbox, files: &[&str], expect: Option<&str>, run: &Run) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/audit-verify.sh");
    if system(sb, "jq", &["--version"]).is_none() {
        return skipped("jq is not installed, and the shell's verdict was not asked for");
    }
    let (code, told) =
        system(sb, "bash", &[&[script], files, expect.as_slice()].concat()).expect("bash");
    assert_eq!(code, run.code, "{told}\n{}{}", run.stdout, run.stderr);
}

/// Fails the test if this log holds.
fn broken(sb: &Sandbox, what: &str, log: &[u8], args: &[&str]) -> Run {
    let run = verify(sb, log, args);
    assert_eq!(run.code, 1, "{what}: {}{}", run.stdout, run.stderr);
    assert!(
        run.stderr.contains("does not hold"),
        "{what}: {}",
        run.stderr
    );
    run
}

#[test]
fn a_good_log_holds() {
    let (sb, log, head) = recorded();
    let run = verify(&sb, &log, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stdout.contains(&head) && run.stdout.contains("not anchored"),
        "{}",
        run.stdout
    );
    let run = verify(&sb, &log, &["--expect", &head]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stdout.contains("the expected record is there"),
        "{}",
        run.stdout
    );
    sb.assert_verified();
    assert_eq!(sb.log_bytes(), log, "verifying is no run of its own");
}

/// An enable, a rotate, and a status that was cut off while it wrote: what a verifier of one's own can be tried on.
#[test]
fn the_sample_holds() {
    let sb = Sandbox::new();
    let log = include_bytes!("../../fixtures/audit/sample.jsonl");
    let run = verify(&sb, log, &[]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    for told in [
        "a later run found and recorded them",
        "has no result",
        "106 records",
    ] {
        assert!(run.stdout.contains(told), "{}", run.stdout);
    }
}

#[test]
fn a_changed_byte_is_found_wherever_it_is() {
    let (sb, log, head) = recorded();
    let expect: (u64, String) = head
        .split_once(':')
        .map(|(seq, hash)| (seq.parse().expect("a number"), hash.to_owned()))
        .expect("a head");
    let holds = |log: &[u8], expect| {
        bypassctl::audit::verify(&mut &*log, expect)
            .expect("readable")
            .holds()
    };
    assert!(holds(&log, Some(expect.clone())));
    let (mut start, all) = (0, lines(&log));
    for (index, line) in all.iter().enumerate() {
        let places = [
            0,
            line.len() / 5,
            line.len() / 3,
            line.len() / 2,
            line.len() - 3,
            line.len() - 1,
        ];
        for at in places.map(|place| start + place) {
            let mut copy = log.clone();
            copy[at] ^= 1;
            assert!(
                !holds(&copy, Some(expect.clone())),
                "record {index}, byte {at}"
            );
            // Nothing follows the last record that would tell.
            assert!(
                index + 1 == all.len() || !holds(&copy, None),
                "record {index}, byte {at}, no anchor"
            );
        }
        start += line.len();
    }
    let mut copy = log.clone();
    copy[lines(&log)[0].len() + 5] ^= 1;
    broken(&sb, "a changed byte", &copy, &[]);
}

#[test]
fn records_taken_out_exchanged_doubled_or_put_in_are_found() {
    let (sb, log, _) = recorded();
    let all = lines(&log);
    for at in [0, 1, 7, all.len() - 2] {
        let mut deleted = all.clone();
        deleted.remove(at);
        broken(&sb, "deleted", &deleted.concat(), &[]);
        let mut swapped = all.clone();
        swapped.swap(at, at + 1);
        broken(&sb, "swapped", &swapped.concat(), &[]);
        let mut doubled = all.clone();
        doubled.insert(at, all[at]);
        broken(&sb, "doubled", &doubled.concat(), &[]);
        let mut inserted = all.clone();
        inserted.insert(at + 1, b"{\"v\":1}\n");
        broken(&sb, "inserted", &inserted.concat(), &[]);
        inserted[at + 1] = b"\n";
        let run = broken(&sb, "an empty line", &inserted.concat(), &[]);
        assert!(
            run.stdout.contains(&format!("line {}, byte ", at + 2)),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn a_run_cut_out_is_found() {
    let (sb, _, _) = recorded();
    assert_eq!(sb.run(&["status", "-n", "influxdb"]).code, 0);
    let cut = sb.records_of("run.begin")[1]["run"].clone();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let log = sb.log_bytes();
    let of_run = |line: &&[u8]| serde_json::from_slice::<Value>(line).expect("JSON")["run"] == cut;
    let without: Vec<&[u8]> = lines(&log)
        .into_iter()
        .filter(|line| !of_run(line))
        .collect();
    assert!(without.len() < lines(&log).len());
    let run = broken(&sb, "a run cut out", &without.concat(), &[]);
    assert!(
        run.stdout.contains("what was in between is not known"),
        "{}",
        run.stdout
    );
}

/// Each byte of a log of twenty records, each bit of it: with an anchor no change passes.
#[test]
#[ignore = "slow: scripts/check slow"]
fn every_change_of_one_byte_is_found() {
    let (_sb, log, _) = recorded();
    let log = lines(&log)[..20].concat();
    let last = lines(&log)[19];
    let holds = |log: &[u8]| {
        bypassctl::audit::verify(&mut &*log, Some((20, sha256(last))))
            .expect("readable")
            .holds()
    };
    assert!(holds(&log));
    for at in 0..log.len() {
        for bit in 0..8 {
            let mut copy = log.clone();
            copy[at] ^= 1 << bit;
            assert!(!holds(&copy), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_cut_tail_is_found_with_an_anchor() {
    let (sb, log, head) = recorded();
    let all = lines(&log);
    for left in [1, 4, all.len() - 1] {
        let cut = all[..left].concat();
        assert_eq!(
            verify(&sb, &cut, &[]).code,
            0,
            "without an anchor nobody can tell"
        );
        let run = broken(&sb, "cut", &cut, &["--expect", &head]);
        assert!(
            run.stdout.contains("the expected record is not there"),
            "{}",
            run.stdout
        );
    }
    let more = sb.run(&["disable"]);
    assert_eq!(more.code, 0, "{}", more.stderr);
    assert_eq!(
        verify(&sb, &sb.log_bytes(), &["--expect", &head]).code,
        0,
        "more may follow"
    );
}

/// The log from a record on written anew, with a chain that fits.
fn rewritten(log: &[u8], from: usize, change: impl Fn(&str) -> String) -> Vec<u8> {
    let (mut out, mut previous) = (String::new(), String::new());
    for (index, line) in lines(log).into_iter().enumerate() {
        let mut line = String::from_utf8(line.to_vec()).expect("ASCII");
        // A torn line is no link of the chain.
        let record: Option<Value> = serde_json::from_str(&line).ok();
        if index == from {
            line = change(&line);
        } else if let Some(record) = record.as_ref().filter(|_| index > from) {
            line = line.replacen(record["prev"].as_str().expect("a hash"), &previous, 1);
        }
        if record.is_some() {
            previous = sha256(line.as_bytes());
        }
        out.push_str(&line);
    }
    out.into_bytes()
}

#[test]
fn what_was_rewritten_before_a_torn_line_is_found_with_an_anchor() {
    let (sb, log, _) = recorded();
    sb.write(sb.log(), [log.as_slice(), b"{\"v\""].concat());
    let head = sb.run(&["disable", "--dry-run"]).head().to_owned();
    let log = sb.log_bytes();
    assert_eq!(verify(&sb, &log, &["--expect", &head]).code, 0);
    let copy = rewritten(&log, 3, |line| {
        line.replacen("\"log\"", "\"x\":1,\"log\"", 1)
    });
    assert_eq!(
        verify(&sb, &copy, &[]).code,
        0,
        "without an anchor nobody can tell"
    );
    broken(&sb, "rewritten", &copy, &["--expect", &head]);
}

#[test]
fn a_rewritten_end_is_found_with_an_anchor() {
    let (sb, log, head) = recorded();
    assert_eq!(rewritten(&log, 5, str::to_owned), log);
    for from in [1, 9, lines(&log).len() - 1] {
        let copy = rewritten(&log, from, |line| {
            line.replacen("\"log\"", "\"x\":1,\"log\"", 1)
        });
        assert_ne!(copy, log);
        assert_eq!(
            verify(&sb, &copy, &[]).code,
            0,
            "without an anchor nobody can tell"
        );
        broken(&sb, "rewritten", &copy, &["--expect", &head]);
    }
}

#[test]
fn a_torn_end_is_found_then_recovered_by_the_next_run() {
    let (sb, log, _) = recorded();
    let all = lines(&log);
    let (last, before) = all.split_last().expect("records");
    let before = before.concat();
    let torn: [(&str, &[u8]); 6] = [
        ("half a record", &last[..last.len() / 2]),
        ("one byte", b"{"),
        ("garbage with LF", b"\xff\x00garbage\n"),
        ("several lines", b"x\n\ny\nz"),
        ("a whole fitting record without LF", &last[..last.len() - 1]),
        ("more than is read at first", &[b'x'; 300 << 10]),
    ];
    for (what, torn) in torn {
        let copy = [&before, torn].concat();
        broken(&sb, what, &copy, &[]);
        sb.write(sb.log(), &copy);
        let run = sb.run(&["disable", "--dry-run"]);
        assert_eq!(run.code, 0, "{what}: {}", run.stderr);
        let recovered = sb.records_of("log.recover");
        assert_eq!(recovered.len(), 1, "{what}");
        let whole = if torn.ends_with(b"\n") {
            torn.to_vec()
        } else {
            [torn, b"\n"].concat()
        };
        assert_eq!(recovered[0]["torn"]["bytes"], whole.len(), "{what}");
        assert_eq!(recovered[0]["torn"]["sha256"], sha256(&whole), "{what}");
        assert_eq!(recovered[0]["prev"], sha256(all[all.len() - 2]), "{what}");
        assert!(sb.log_bytes().starts_with(&copy), "nothing is cut off");
        let verified = sb.assert_verified();
        assert!(
            verified
                .stdout
                .contains("a later run found and recorded them"),
            "{what}: {}",
            verified.stdout
        );
        assert_eq!(
            sb.run(&["audit", "verify", "--expect", run.head()]).code,
            0,
            "{what}"
        );
    }
}

#[test]
fn what_is_recovered_cannot_be_exchanged_or_taken_out() {
    let (sb, log, _) = recorded();
    let torn = b"{\"v\":1,\"seq\":";
    sb.write(sb.log(), [&log, torn.as_slice()].concat());
    assert_eq!(sb.run(&["disable", "--dry-run"]).code, 0);
    let copy = sb.log_bytes();
    let mut changed = copy.clone();
    changed[log.len() + 2] = b'w';
    broken(&sb, "other torn bytes", &changed, &[]);
    let mut without = copy.clone();
    without.drain(log.len()..=log.len() + torn.len());
    broken(&sb, "no torn bytes", &without, &[]);
    let lines = lines(&copy);
    let good = lines.len() - 3;
    assert!(
        lines[good].starts_with(b"{")
            && String::from_utf8_lossy(lines[good]).contains("log.recover")
    );
    let without = [&lines[..good], &lines[good + 1..]].concat().concat();
    broken(&sb, "no recovery", &without, &[]);
}

/// A log of these records with numbers and a chain that fit; what an intent was is found again by its old number.
fn chained(records: &[Value]) -> Vec<u8> {
    let (mut out, mut previous) = (Vec::new(), "0".repeat(64));
    let number = |old: &Value| {
        records
            .iter()
            .position(|record| record["seq"] == *old)
            .map(|index| index + 1)
    };
    for (index, record) in records.iter().enumerate() {
        let mut record = record.clone();
        (record["seq"], record["prev"]) = ((index + 1).into(), previous.into());
        if let Some(intent) = record.get_mut("intent") {
            *intent = number(intent).into();
        }
        let line = format!("{record}\n").into_bytes();
        previous = sha256(&line);
        out.extend(line);
    }
    out
}

#[test]
fn records_that_belong_to_no_run_are_found() {
    let (sb, _, _) = recorded();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let all = sb.records();
    assert_eq!(verify(&sb, &chained(&all), &[]).code, 0);
    let at = |kind: &str| {
        all.iter()
            .position(|record| record["type"] == kind)
            .expect("there")
    };
    let (begin, end, result) = (at("run.begin"), at("run.end"), at("result"));
    let other = all.last().expect("records")["run"].clone();
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Vec<Value>));
    let changes: [Change; 5] = [
        ("its run has not begun", &|records| {
            drop(records.remove(begin))
        }),
        ("its run has begun already", &|records| {
            records.insert(begin + 1, records[begin].clone())
        }),
        ("its run has not begun, or has ended", &|records| {
            records.insert(begin + 1, records[end].clone())
        }),
        ("its run has not begun, or has ended", &|records| {
            records.swap(end, end - 1)
        }),
        ("which is of another run", &|records| {
            records[result]["run"] = other.clone()
        }),
    ];
    for (told, change) in changes {
        let mut records = all.clone();
        change(&mut records);
        let run = broken(&sb, told, &chained(&records), &[]);
        assert!(run.stdout.contains(told), "{told}: {}", run.stdout);
    }
}

#[test]
fn a_log_whose_first_line_is_torn_holds_once_it_is_recovered() {
    let sb = Sandbox::new();
    std::fs::create_dir_all(sb.log().parent().expect("a directory")).expect("sandbox");
    for torn in ["{\"v\":1,\"se", "{\"v\":1,\"seq\":1,\"prev\":\"00"] {
        sb.write(sb.log(), torn);
        assert_eq!(sb.run(&["disable"]).code, 0);
        let kinds: Vec<Value> = sb
            .records()
            .iter()
            .take(2)
            .map(|record| record["type"].clone())
            .collect();
        assert_eq!(kinds, ["log.recover", "log.open"]);
        assert_eq!(verify(&sb, &sb.log_bytes(), &[]).code, 0);
        sb.assert_verified();
    }
}

#[test]
fn what_is_no_file_is_told_at_once() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let fifo = sb
        .log()
        .with_file_name("audit-20260101T000000Z-1a2b3c4d.jsonl");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .expect("sandbox");
    for args in [
        &["verify"][..],
        &["list"],
        &["verify", fifo.to_str().expect("text")],
        &["verify", "/dev/zero"],
    ] {
        let run = sb.run(&[&["audit"], args].concat());
        assert!(
            run.code == 1 && run.stderr.contains("is not a regular file"),
            "{args:?}: {}",
            run.stderr
        );
    }
}

#[test]
fn what_is_no_log_does_not_hold() {
    let sb = Sandbox::new();
    broken(&sb, "empty", b"", &[]);
    broken(&sb, "text", b"hello\n", &[]);
    broken(&sb, "other JSON", b"{}\n{}\n", &[]);
    let run = sb.run(&["audit", "verify"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("audit.jsonl` cannot be read"),
        "{}",
        run.stderr
    );
    assert!(!sb.log().exists(), "verifying makes no log");
    let directory = sb.run(&["audit", "verify", "."]);
    assert_eq!(directory.code, 1, "{}", directory.stderr);
    for anchor in ["1", "x:y", "1:abc"] {
        assert_eq!(
            sb.run(&["audit", "verify", "--expect", anchor]).code,
            2,
            "{anchor}"
        );
    }
}

#[test]
fn the_report_is_json_when_asked_for() {
    let (sb, log, head) = recorded();
    let report = |run: &Run| serde_json::from_str::<Value>(&run.stdout).expect("JSON");
    let good = report(&verify(&sb, &log, &["-o", "json", "--expect", &head]));
    assert_eq!(
        (&good["exit_code"], &good["verify"]["anchored"]),
        (&0.into(), &true.into())
    );
    assert_eq!(
        (
            &good["verify"]["logs"][0]["records"],
            &good["verify"]["logs"][0]["head"]
        ),
        (&lines(&log).len().into(), &head.into())
    );
    let cut = lines(&log)[..3].concat();
    let text = [cut.as_slice(), b"x"].concat();
    let bad = report(&verify(&sb, &text, &["-o", "json"]));
    assert_eq!(
        (&bad["exit_code"], &bad["outcome"]),
        (&1.into(), &"failed".into())
    );
    let finding = &bad["verify"]["logs"][0]["findings"][0];
    assert_eq!(
        (&finding["line"], &finding["offset"]),
        (&4.into(), &cut.len().into())
    );
    assert_eq!(bad["verify"]["anchored"], Value::Null);
}
