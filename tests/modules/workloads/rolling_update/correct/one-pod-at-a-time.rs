//! Passes: moves one pod after the other in loops, rounds with integers, and says only at the end which sizes changed.

use kit::api::int_or_percent::IntOrString;
use kit::workloads::DeploymentController;
use kit::workloads::rolling_update::{
    Action, Fenceposts, ReplicaSetView, RollingUpdate, Strategy, SyncRequest, SyncResult,
};

#[derive(Default)]
struct Exercise;

/// A set and the size that it gets.
#[derive(Clone)]
struct Sized {
    was: ReplicaSetView,
    size: i32,
}

/// What a sync works on, the oldest set first.
struct Table {
    sets: Vec<Sized>,
    created: Option<i32>,
}

impl DeploymentController for Exercise {
    fn fenceposts(&self, update: &RollingUpdate, replicas: i32) -> Fenceposts {
        let percent = |text: &str| text.trim_end_matches('%').parse::<i32>().unwrap_or(0) * replicas;
        let mut surge = match &update.max_surge {
            IntOrString::Int(pods) => *pods,
            IntOrString::String(text) => (percent(text) + 99) / 100,
        };
        let mut unavailable = match &update.max_unavailable {
            IntOrString::Int(pods) => *pods,
            IntOrString::String(text) => percent(text) / 100,
        };
        if surge <= 0 && unavailable <= 0 {
            (surge, unavailable) = (0, 1);
        }
        if unavailable > replicas {
            unavailable = replicas;
        }
        Fenceposts { surge, unavailable }
    }

    fn sync(&self, request: &SyncRequest) -> SyncResult {
        let sets = request.replica_sets.iter().map(|set| Sized { was: set.clone(), size: set.replicas }).collect();
        let mut table = Table { sets, created: None };
        let other_number = |set: &ReplicaSetView| {
            set.replicas > 0 && set.desired_replicas.unwrap_or(request.replicas) != request.replicas
        };
        let posts = match &request.strategy {
            Strategy::RollingUpdate(update) => Some(self.fenceposts(update, request.replicas)),
            Strategy::Recreate => None,
        };
        if request.paused || request.replica_sets.iter().any(other_number) {
            table.scale(request.replicas, posts);
        } else if let Some(posts) = posts {
            table.roll(request.replicas, posts);
        } else {
            table.recreate(request.replicas, request.old_pods_running);
        }
        table.result()
    }
}

impl Table {
    fn total(&self) -> i32 {
        self.sets.iter().map(|set| set.size).sum::<i32>() + self.created.unwrap_or(0)
    }

    fn new(&mut self) -> Option<&mut Sized> {
        self.sets.iter_mut().find(|set| set.was.new)
    }

    /// The old sets that have a size, the oldest first.
    fn old(&mut self) -> impl Iterator<Item = &mut Sized> {
        self.sets.iter_mut().filter(|set| !set.was.new && set.was.replicas > 0)
    }

    fn roll(&mut self, replicas: i32, posts: Fenceposts) {
        let mut total = self.total();
        let mut created = 0;
        let is_there = self.new().is_some();
        let mut size = self.new().map_or(0, |new| new.size);
        let before = size;
        while size < replicas && total < replicas + posts.surge {
            size += 1;
            total += 1;
        }
        if size > replicas {
            size = replicas;
        }
        let mut available = 0;
        if let Some(new) = self.new() {
            new.size = size;
            available = new.was.available;
        } else {
            created = size;
        }
        if !is_there {
            self.created = Some(created);
        } else if size != before {
            return;
        }

        let needed = replicas - posts.unavailable;
        let mut may_go = total - needed - (size - available);
        if may_go <= 0 {
            return;
        }
        available += self.old().map(|set| set.was.available).sum::<i32>();
        for set in self.old() {
            if may_go == 0 {
                break;
            }
            if set.was.available > set.was.replicas {
                return;
            }
            while set.size > set.was.available && may_go > 0 {
                set.size -= 1;
                may_go -= 1;
            }
        }
        for set in self.old() {
            while set.size > 0 && available > needed {
                set.size -= 1;
                available -= 1;
            }
        }
    }

    fn recreate(&mut self, replicas: i32, running: bool) {
        if self.old().next().is_some() {
            self.old().for_each(|set| set.size = 0);
        } else if !running {
            match self.new() {
                Some(new) => new.size = replicas,
                None => self.created = Some(replicas),
            }
        }
    }

    fn scale(&mut self, replicas: i32, posts: Option<Fenceposts>) {
        let mut active: Vec<usize> = (0..self.sets.len()).filter(|i| self.sets[*i].size > 0).collect();
        if active.len() < 2 {
            let youngest = self.sets.len().checked_sub(1);
            let new = self.sets.iter().position(|set| set.was.new);
            if let Some(index) = active.first().copied().or(new).or(youngest) {
                self.sets[index].size = replicas;
            }
            return;
        }
        if let Some(Sized { was: new, .. }) = self.new() {
            let numbers = [new.replicas, new.available, new.desired_replicas.unwrap_or(-1)];
            if numbers == [replicas; 3] {
                self.old().for_each(|set| set.size = 0);
                return;
            }
        }
        let Some(posts) = posts else { return };
        let most = if replicas == 0 { 0 } else { replicas + posts.surge };
        let whole = most - self.total();
        // The larger first; then by age, which the index is.
        active.sort_by(|a, b| {
            let by_age = if whole > 0 { b.cmp(a) } else { a.cmp(b) };
            self.sets[*b].size.cmp(&self.sets[*a].size).then(by_age)
        });
        let mut left = whole;
        for index in &active {
            let set = &mut self.sets[*index];
            let before = set.was.max_replicas;
            let target = match (replicas, before) {
                (0, _) => 0,
                (_, 0) => set.size,
                _ => {
                    // Of large sets more than an i32 holds.
                    let (size, most, before) = (i64::from(set.size), i64::from(most), i64::from(before));
                    ((2 * size * most + before) / (2 * before)) as i32
                }
            };
            let share = if whole > 0 { (target - set.size).min(left) } else { (target - set.size).max(left) };
            if left != 0 {
                set.size += share;
                left -= share;
            }
        }
        let first = &mut self.sets[active[0]];
        first.size = (first.size + left).max(0);
    }

    fn result(self) -> SyncResult {
        let created = self.created.map(|replicas| Action::CreateNew { replicas });
        let changed = self.sets.into_iter().filter(|set| set.size != set.was.replicas);
        let scaled = changed.map(|set| Action::Scale { name: set.was.name, replicas: set.size });
        SyncResult { actions: created.into_iter().chain(scaled).collect() }
    }
}

kit::exercise!(Exercise: DeploymentController);
