//! Turns, room, and what becomes of those who go away.

use super::*;
use std::cell::RefCell;
use std::rc::Rc;

fn account(name: &str) -> User {
    let name = format!("system:serviceaccount:shop:{name}");
    User::new(&name, &["system:serviceaccounts", "system:authenticated"])
}

fn pods() -> RequestInfo {
    RequestInfo::of("GET", "/api/v1/pods", "")
}

fn free() -> usize {
    LEVELS.iter().find(|level| level.name == "workload-low").and_then(seats).expect("it is limited")
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// Lets every task go as far as it can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn flows_take_turns() {
    run(async {
        let limits = Arc::new(Limits::default());
        let order = Rc::new(RefCell::new(Vec::new()));
        // How many had been served when each of the second came.
        let came = Rc::new(RefCell::new(Vec::new()));
        // One flow asks for two hundred, and then comes another with three.
        for (name, count) in [("busy", 200), ("calm", 3)] {
            for _ in 0..count {
                let (limits, order, came) = (limits.clone(), order.clone(), came.clone());
                tokio::task::spawn_local(async move {
                    if name == "calm" {
                        came.borrow_mut().push(order.borrow().len());
                    }
                    let seat = limits.enter(&account(name), &pods()).await.expect("there is room to wait");
                    tokio::task::yield_now().await;
                    order.borrow_mut().push(name);
                    drop(seat);
                });
            }
            if name == "busy" {
                tokio::task::yield_now().await;
            }
        }
        for _ in 0..100 {
            settle().await;
        }
        let order = order.borrow();
        assert_eq!(order.len(), 203);
        let last = order.iter().rposition(|name| *name == "calm").expect("it was served");
        let came = *came.borrow().last().expect("it came");
        assert!(came < 150, "nobody waited any more");
        // Those who sit already, and as many of the crowd as of its own: not the two hundred.
        let most = came + 2 * free() + 8;
        assert!(last < most, "it came as number {came}, and the last of its three was number {last}");
    });
}

#[test]
fn what_is_too_much_is_refused_and_those_who_go_away_leave_their_place() {
    run(async {
        let limits = Arc::new(Limits::default());
        let mut seats = Vec::new();
        for _ in 0..free() {
            seats.push(limits.enter(&account("busy"), &pods()).await.expect("a seat is free"));
        }
        let waiting: Vec<_> = (0..300)
            .map(|_| {
                let limits = limits.clone();
                tokio::task::spawn_local(async move { limits.enter(&account("busy"), &pods()).await.is_ok() })
            })
            .collect();
        settle().await;
        assert_eq!(limits.enter(&account("busy"), &pods()).await.err().map(|full| full.reason), Some("queue-full"));
        // Others have room, and those who may do everything need none.
        let other = {
            let limits = limits.clone();
            tokio::task::spawn_local(async move { limits.enter(&account("calm"), &pods()).await.is_ok() })
        };
        assert!(limits.enter(&User::admin(), &pods()).await.is_ok());
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        settle().await;
        seats.clear();
        assert!(other.await.expect("it ends"));
        let again = limits.enter(&account("busy"), &pods()).await;
        assert!(again.is_ok());
        drop(again);
        let lines = limits.0.lock().expect("nobody panicked");
        assert!(lines.values().all(|line| line.served == 0 && line.waiting.is_empty()));
    });
}
