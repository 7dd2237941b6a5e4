//! The step that restarts the pods.

use super::watch::{ConditionWatch, WatchObserver};
use crate::error::{Error, Result};
use crate::plan::PodRestart;
use crate::session::runner::Runner;
use crate::tool::kubectl::{self, EventType, KubectlError, Pod, WatchEvent};
use crate::ui::StepOutcome;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long to wait before pods are watched anew.
const POD_RECHECK_DELAY: Duration = Duration::from_millis(500);

/// Restarts the pods that load the keys, and waits until their successors serve and they are gone.
pub(crate) fn restart_pods(runner: &Runner, step: &str, restart: &PodRestart) -> Result<()> {
    let old = match (&restart.terminating, restart.command()) {
        (None, Some(command)) => {
            let pods = list_pods(runner, step, restart)?;
            if pods.iter().all(Pod::is_finished) {
                return Err(Error::failure(format!(
                    "no pod matches `{}` any more: nothing can be restarted",
                    restart.selector
                ))
                .hint(format!(
                    "`kubectl get pods --namespace {}` shows what there is",
                    restart.target.namespace
                )));
            }
            match kubectl::check_success(&runner.run(step, &command)?) {
                // One of them was gone before its turn came.
                Ok(()) | Err(KubectlError::NotFound(_)) => {}
                Err(failure) => return Err(failure.into_error("the pods could not be deleted")),
            }
            pods.into_iter().map(|pod| pod.metadata.uid).collect()
        }
        (going, _) => going.clone().unwrap_or_default(),
    };
    wait_for_pods(runner, step, restart, &old)?;
    let gone = if old.is_empty() {
        String::new()
    } else {
        format!("{} old pods are gone, ", old.len())
    };
    runner.ui.report_step(
        step,
        StepOutcome::Done,
        &format!("{gone}{} new ones are ready", restart.ready_pods),
    );
    Ok(())
}

fn list_pods(runner: &Runner, step: &str, restart: &PodRestart) -> Result<Vec<Pod>> {
    let output = runner.run(&format!("{step}-look"), &restart.list_command())?;
    kubectl::parse_list(&output).map_err(|failure| failure.into_error("the pods cannot be listed"))
}

fn wait_for_pods(runner: &Runner, step: &str, restart: &PodRestart, old: &[String]) -> Result<()> {
    let PodRestart {
        target: at,
        selector,
        ready_pods: ready,
        timeout: limit,
        ..
    } = restart;
    let what = format!("the old pods are gone and {ready} new ones are ready");
    let more = format!(
        "`kubectl describe pods --selector {selector} --namespace {}`",
        at.namespace
    );
    let wait = ConditionWatch {
        runner,
        step,
        condition: what,
        timeout: *limit,
        start: Instant::now(),
        details_command: more,
    };
    loop {
        let mut judge = PodObserver {
            old_uids: old,
            ready_count: *ready,
            pods: BTreeMap::new(),
            synced: false,
        };
        wait.wait_for_decision(&restart.watch_command(), &mut judge, |_| Ok(()))?;
        if judge.synced {
            return Ok(());
        }
        // It may have been decided in the middle of what a watch begins with, one by one all that is there.
        let pods = list_pods(runner, step, restart)?;
        judge.pods = pods
            .into_iter()
            .map(|pod| (pod.metadata.uid.clone(), pod))
            .collect();
        if judge.decision().is_some() {
            return Ok(());
        }
        runner.executor.sleep(POD_RECHECK_DELAY)?;
    }
}

struct PodObserver<'a> {
    old_uids: &'a [String],
    ready_count: usize,
    /// Those that are there, by UID.
    pods: BTreeMap<String, Pod>,
    /// Whether the watch has shown all that was there when it began: it does before it shows any change.
    synced: bool,
}

impl WatchObserver for PodObserver<'_> {
    type Object = Pod;
    type Decision = ();

    fn reset(&mut self) {
        self.pods.clear();
        self.synced = false;
    }

    fn observe_event(&mut self, event: WatchEvent<Pod>) {
        let uid = event.object.metadata.uid.clone();
        self.synced = self.synced || event.event_type != EventType::Added;
        match event.event_type {
            EventType::Deleted => drop(self.pods.remove(&uid)),
            _ => drop(self.pods.insert(uid, event.object)),
        }
    }

    fn decision(&self) -> Option<()> {
        let is_old = |uid: &String| self.old_uids.contains(uid);
        let ready = self
            .pods
            .iter()
            .filter(|(uid, pod)| !is_old(uid) && pod.is_ready())
            .count();
        (ready >= self.ready_count && !self.pods.keys().any(is_old)).then_some(())
    }
}
