//! Mails from outside: held calls, a clock that is set, and a mail server that behaves as it is told.

use std::sync::Arc;
use std::time::Duration;

use placet::approvals;
use placet::call::{GroupName, HeldCall, Millis, OnTimeout, Requirement, ReviewerId, Verdict};
use placet::lifecycle::Tasks;
use placet::notify::{Headline, Judgement, Links, Mailer, Security, Smtp, Transport, Worker};

use crate::support::bench::{Bench, START};
use crate::support::smtp::{Received, SmtpSink};

struct Post {
    bench: Bench,
    sink: SmtpSink,
    worker: Worker,
}

const URL: &str = "https://placet.example.com";

fn worker(bench: &Bench, sink: &SmtpSink) -> Worker {
    worker_over(bench, Some(smtp(sink)))
}

/// Patient, so that a busy machine does not look like a broken server.
fn smtp(sink: &SmtpSink) -> Smtp {
    Smtp { total_timeout: Duration::from_secs(60), ..Smtp::new("127.0.0.1".into(), sink.port(), Security::Plain) }
}

fn worker_over(bench: &Bench, smtp: Option<Smtp>) -> Worker {
    let mailer = smtp.map(|smtp| Mailer::new(Transport::Smtp(smtp), "Placet <placet@example.com>").unwrap());
    let judgement = Judgement {
        headline: Arc::new(|call: &HeldCall| {
            let arguments = call.submission.arguments();
            assert!(!arguments.contains("poison"), "a bug in the explanation");
            arguments.contains("admin").then(|| Headline { line: "Makes an administrator".into(), critical: true })
        }),
        may_decide: Arc::new(|call, person| approvals::may_decide(call, person, false).is_ok()),
    };
    Worker::new(bench.store.clone(), bench.clock.clone(), mailer, Links::new(URL), judgement)
}

impl Post {
    async fn new() -> Self {
        let (bench, sink) = (Bench::new().await, SmtpSink::start().await);
        let worker = worker(&bench, &sink);
        Self { bench, sink, worker }
    }

    /// The clock stands so many seconds after the start.
    fn at(&self, seconds: u64) {
        self.bench.clock.set(START.after(Duration::from_secs(seconds)));
    }

    /// Lets the worker work up to that second, pass by pass as it asks for them.
    async fn until(&mut self, seconds: u64) {
        let end = START.after(Duration::from_secs(seconds));
        loop {
            let next = self.worker.pass().await;
            if next > end {
                self.bench.clock.set(end);
                return;
            }
            self.bench.clock.set(next.max(self.bench.clock.now()));
        }
    }

    fn to(&self, who: &str) -> Vec<Received> {
        let who = format!("{who}@example.com");
        self.sink.mails().into_iter().filter(|mail| mail.to == [who.clone()]).collect()
    }

    fn subjects(&self, who: &str) -> Vec<String> {
        self.to(who).iter().map(|mail| mail.header("Subject").unwrap()).collect()
    }

    async fn decide(&self, call: &HeldCall, by: ReviewerId, verdict: Verdict) {
        self.bench.approvals.decide(self.bench.decision(call, by, verdict)).await.unwrap();
    }
}

fn for_group(group: &str) -> Requirement {
    let reviewers = vec![GroupName::new(group).unwrap()];
    Requirement { reviewers, ..Requirement::plain(Duration::from_secs(900)) }
}

#[tokio::test]
async fn a_held_call_is_mailed_to_everybody_who_may_decide_it() {
    let mut post = Post::new().await;
    let call = post.bench.hold(r#"{"user_name":"ci-bot","password":"correct-horse-battery"}"#).await;
    post.until(4).await;
    assert_eq!(post.sink.mails(), [], "it waits for company");
    post.until(600).await;
    assert_eq!(post.sink.mails().len(), 2, "once each, however often the worker looks");
    let mail = post.to("mira").remove(0);
    assert_eq!(mail.from, "placet@example.com");
    assert_eq!(mail.header("Subject").unwrap(), "Needs approval: put_user_policy by ci-bot on iam");
    assert_eq!(mail.header("Auto-Submitted").unwrap(), "auto-generated");
    assert_eq!(mail.header("Date").unwrap(), "Sun, 22 Nov 2026 14:02:16 +0000");
    assert!(mail.header("Message-ID").unwrap().ends_with("@placet.example.com>"));
    let link = format!("{URL}/calls/{}?prepare=", call.submission.id);
    for part in [mail.text(), mail.html()] {
        assert!(part.contains(&format!("{link}approve")) && part.contains(&format!("{link}reject")), "{part}");
        assert!(part.contains("user_name") && part.contains("ci-bot") && part.contains("2026-11-22 14:17 UTC"));
        assert!(!part.contains("correct-horse"), "{part}");
    }
    let other = post.to("noor").remove(0);
    assert_ne!(mail.header("Message-ID"), other.header("Message-ID"));
}

#[tokio::test]
async fn only_the_groups_asked_hear_of_it_and_further_ones_when_it_escalates() {
    let mut post = Post::new().await;
    let night = OnTimeout::Escalate(vec![GroupName::new("iam").unwrap()]);
    post.bench.submit("{}", Requirement { on_timeout: night, ..for_group("night") }).await;
    post.until(60).await;
    assert_eq!((post.to("mira").len(), post.to("noor").len()), (0, 1));
    post.at(900);
    post.bench.approvals.expire().await.unwrap();
    post.until(960).await;
    assert_eq!(post.subjects("mira"), ["Still needs approval: put_user_policy by ci-bot on iam"]);
    assert_eq!(post.to("noor").len(), 2);
    post.at(1800);
    post.bench.approvals.expire().await.unwrap();
    post.until(1900).await;
    assert_eq!(post.subjects("mira").last().unwrap(), "Expired, not run: put_user_policy by ci-bot on iam");
}

#[tokio::test]
async fn calls_of_one_minute_are_few_mails_and_none_is_late() {
    let mut post = Post::new().await;
    for second in [0, 2, 4] {
        post.at(second);
        post.bench.hold(&format!("{{\"n\":{second}}}")).await;
        post.until(second).await;
    }
    post.until(10).await;
    assert_eq!(post.subjects("mira"), ["3 calls need approval; put_user_policy by ci-bot on iam"]);
    for second in [20, 30, 40, 50] {
        post.until(second).await;
        post.bench.hold(&format!("{{\"n\":{second}}}")).await;
    }
    post.until(58).await;
    assert_eq!(post.to("mira").len(), 1);
    post.until(65).await;
    assert_eq!(post.to("mira").len(), 2, "within a minute of the first of them");
    assert!(post.subjects("mira")[1].starts_with("4 calls need approval"));
    post.until(600).await;
    assert_eq!(post.sink.mails().len(), 4);
}

#[tokio::test]
async fn a_decision_is_told_to_those_who_were_mailed_but_not_to_who_made_it() {
    let mut post = Post::new().await;
    let call = post.bench.hold("{}").await;
    post.until(10).await;
    post.decide(&call, post.bench.mira, Verdict::Reject).await;
    post.until(100).await;
    assert_eq!(post.to("mira").len(), 1);
    assert_eq!(post.subjects("noor")[1], "Rejected by mira@example.com: put_user_policy by ci-bot on iam");
    let told = post.to("noor").remove(1);
    assert!(told.text().contains("It has not run") && told.text().contains("scope Resource to one bucket"));
    assert!(!told.text().contains("prepare="), "nothing is left to decide");
}

#[tokio::test]
async fn a_call_decided_before_its_mail_left_is_not_mailed_at_all() {
    let mut post = Post::new().await;
    let call = post.bench.hold("{}").await;
    post.until(3).await;
    post.decide(&call, post.bench.mira, Verdict::Reject).await;
    post.until(300).await;
    assert_eq!(post.sink.mails(), []);
    assert_eq!(post.bench.store.mails_waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn a_mail_that_is_not_taken_now_is_taken_later_and_is_the_same_mail() {
    let mut post = Post::new().await;
    post.sink.behave(|server| server.later = 4);
    post.bench.submit("{}", for_group("night")).await;
    post.until(5).await;
    assert_eq!(post.sink.connections(), 1);
    post.until(14).await;
    assert_eq!(post.sink.connections(), 1, "not before ten seconds are over");
    post.until(15).await;
    assert_eq!(post.sink.connections(), 2);
    post.until(890).await;
    assert_eq!(post.subjects("noor").len(), 1, "at 5, 15, 45, 105 refused; at 405 taken");
    assert_eq!(post.sink.connections(), 5);
}

#[tokio::test]
async fn a_recipient_that_is_refused_blocks_nobody_and_is_logged() {
    let mut post = Post::new().await;
    post.sink.behave(|server| server.refused = ["mira@example.com".to_owned()].into());
    let call = post.bench.hold("{}").await;
    post.until(600).await;
    assert_eq!((post.to("mira").len(), post.to("noor").len()), (0, 1));
    assert_eq!(post.sink.connections(), 2, "a refusal for good is not asked again");
    assert!(post.bench.kinds(&call).await.contains(&"mail.failed".to_owned()));
    let entries = post.bench.store.entries_of(call.submission.id).await.unwrap();
    assert!(entries.iter().all(|entry| !entry.body.contains('@')), "no address in the log");
}

#[tokio::test]
async fn an_hour_without_a_server_loses_nothing_and_ends_in_one_mail() {
    let mut post = Post::new().await;
    let hour = Requirement::plain(Duration::from_secs(2 * 3600));
    post.sink.down().await;
    let mut calls = Vec::new();
    for minute in [0, 1, 10, 30, 55] {
        post.until(minute * 60).await;
        calls.push(post.bench.submit(&format!("{{\"n\":{minute}}}"), hour.clone()).await.call);
    }
    post.until(58 * 60).await;
    post.decide(&calls[0], post.bench.noor, Verdict::Reject).await;
    post.until(3600).await;
    assert_eq!(post.bench.store.mails_waiting().await.unwrap(), 8, "the decided one is no longer told");
    post.sink.up().await;
    post.until(3600 + 61).await;
    assert_eq!(post.subjects("mira"), ["4 calls need approval; put_user_policy by ci-bot on iam"]);
    assert_eq!(post.subjects("noor"), ["4 calls need approval; put_user_policy by ci-bot on iam"]);
}

#[tokio::test]
async fn a_server_that_never_answers_holds_nothing_up() {
    let mut post = Post::new().await;
    post.sink.behave(|server| server.stall = true);
    let mut smtp = smtp(&post.sink);
    smtp.total_timeout = Duration::from_millis(500);
    post.worker = worker_over(&post.bench, Some(smtp));
    let call = post.bench.hold("{}").await;
    post.until(5).await;
    post.worker.pass().await;
    assert_eq!(post.sink.connections(), 1, "the second recipient waits for the server to recover");
    post.decide(&call, post.bench.noor, Verdict::Reject).await;
    post.sink.behave(|server| server.stall = false);
    post.worker = worker(&post.bench, &post.sink);
    post.until(120).await;
    assert_eq!(post.subjects("mira"), ["Rejected by noor@example.com: put_user_policy by ci-bot on iam"]);
    assert_eq!(post.to("noor"), [], "no mail reached noor, who decided");
}

#[tokio::test]
async fn one_broken_notice_stops_no_other() {
    let mut post = Post::new().await;
    let broken = post.bench.submit(r#"{"n":"poison"}"#, for_group("night")).await.call;
    post.bench.submit(r#"{"n":"admin"}"#, for_group("night")).await;
    post.until(60).await;
    assert_eq!(
        post.subjects("noor"),
        ["Critical: Makes an administrator: put_user_policy by ci-bot on iam"],
        "the other one of the same mail is told"
    );
    assert!(post.bench.kinds(&broken).await.contains(&"mail.failed".to_owned()));
    assert_eq!(post.bench.store.mails_waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn content_that_the_server_refuses_costs_its_own_call_alone() {
    let mut post = Post::new().await;
    post.sink.behave(|server| server.refused_text = Some("viagra".into()));
    let refused = post.bench.submit(r#"{"n":"viagra"}"#, for_group("night")).await.call;
    post.bench.submit(r#"{"n":"fine"}"#, for_group("night")).await;
    post.until(60).await;
    assert_eq!(post.subjects("noor"), ["Needs approval: put_user_policy by ci-bot on iam"]);
    assert!(post.to("noor")[0].text().contains("fine"));
    assert!(post.bench.kinds(&refused).await.contains(&"mail.failed".to_owned()));
}

#[tokio::test]
async fn without_the_right_password_or_tls_nothing_leaves_and_nothing_is_lost() {
    let mut post = Post::new().await;
    post.sink.behave(|server| server.credentials = Some(("placet".into(), "right".into())));
    post.bench.submit("{}", for_group("night")).await;
    let mut smtp = smtp(&post.sink);
    let wrong = [
        Smtp { credentials: Some(("placet".into(), "wrong".into())), ..smtp.clone() },
        // The server offers no STARTTLS: the mail must not go in the clear instead.
        Smtp { security: Security::StartTls, ..smtp.clone() },
        Smtp { security: Security::Tls, total_timeout: Duration::from_millis(500), ..smtp.clone() },
    ];
    post.at(5);
    for smtp in wrong {
        post.worker = worker_over(&post.bench, Some(smtp));
        post.worker.pass().await;
        assert_eq!(post.sink.mails(), []);
        assert_eq!(post.bench.store.mails_waiting().await.unwrap(), 1);
    }
    assert_eq!(post.sink.connections(), 3);
    smtp.credentials = Some(("placet".into(), "right".into()));
    post.worker = worker_over(&post.bench, Some(smtp));
    post.worker.pass().await;
    assert_eq!(post.to("noor").len(), 1);
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_no_mail_back() {
    let mut post = Post::new().await;
    post.bench.submit("{}", for_group("night")).await;
    post.bench.clock.set(START.before(Duration::from_secs(86_400)));
    post.bench.clock.advance(Duration::from_secs(5));
    post.worker.pass().await;
    assert_eq!(post.to("noor").len(), 1);
}

#[tokio::test]
async fn the_running_worker_mails_when_it_is_woken_and_ends_at_a_stop() {
    let mut post = Post::new().await;
    let (approvals, tasks) = (post.bench.approvals.clone(), Tasks::default());
    let worker = std::mem::replace(&mut post.worker, worker_over(&post.bench, None));
    let changed = move || {
        let approvals = approvals.clone();
        async move { approvals.outbox_changed().await }
    };
    tasks.spawn("outbox", placet::notify::run(worker, tasks.clone(), changed));
    post.bench.submit("{}", for_group("night")).await;
    let clock = post.bench.clock.clone();
    let time = async {
        loop {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        mails = post.sink.has(1) => assert_eq!(mails.len(), 1),
        () = time => {}
    }
    tasks.begin_stop();
    assert!(tasks.ended(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_mail_is_given_up_after_a_day_and_that_is_logged() {
    let mut post = Post::new().await;
    post.sink.behave(|server| server.later = u32::MAX);
    let week = Requirement { timeout: Duration::from_secs(7 * 86_400), ..for_group("night") };
    let call = post.bench.submit("{}", week).await.call;
    post.until(23 * 3600).await;
    assert_eq!(post.bench.store.mails_waiting().await.unwrap(), 1);
    post.until(26 * 3600).await;
    assert_eq!(post.bench.store.mails_waiting().await.unwrap(), 0);
    assert!(post.bench.kinds(&call).await.contains(&"mail.failed".to_owned()));
}

#[tokio::test]
async fn what_was_under_way_at_a_stop_is_sent_again_under_the_same_name() {
    let mut post = Post::new().await;
    post.sink.behave(|server| server.stall = true);
    post.bench.submit("{}", for_group("night")).await;
    post.at(5);
    let mut stopped = worker(&post.bench, &post.sink);
    tokio::select! {
        _ = stopped.pass() => panic!("the server answered"),
        () = post.sink.stalls() => {}
    }
    post.sink.behave(|server| server.stall = false);
    post.worker = worker(&post.bench, &post.sink);
    post.worker.recover().await;
    post.until(30).await;
    assert_eq!(post.to("noor").len(), 1);
    post.until(600).await;
    assert_eq!(post.to("noor").len(), 1);
}

#[tokio::test]
async fn without_a_mail_server_nothing_piles_up() {
    let bench = Bench::new().await;
    let mut worker = worker_over(&bench, None);
    for n in 0..5 {
        bench.hold(&format!("{{\"n\":{n}}}")).await;
    }
    worker.recover().await;
    let next = worker.pass().await;
    assert!(next > bench.clock.now() && next < Millis::MAX);
    assert_eq!(bench.store.mails_waiting().await.unwrap(), 0);
    bench.clock.advance(Duration::from_secs(40 * 86_400));
    worker.pass().await;
    assert_eq!(bench.store.outbox_prune(Millis::MAX).await.unwrap(), 0, "they were forgotten after a month");
}
