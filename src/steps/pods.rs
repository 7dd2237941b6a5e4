//! The step that restarts pods.

use super::watch::{ConditionWatch, WatchObserver};
use crate::error::{Error, Result};
use crate::plan::PodRestart;
use crate::session::runner::Runner;
use crate::tool::kubectl::{self, EventType, KubectlError, Pod, WatchEvent};
use crate::ui::StepOutcome;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The pause before another watch of the pods.
const POD_RECHECK_DELAY: Duration = Duration::from_millis(500);

/// Restarts the pods that load the keys, and waits until the old ones are gone and the new ones
/// are ready.
pub(crate) fn restart_pods(runner: &Runner, step: &str, restart: &PodRestart) -> Result<()> {
    let old_uids = match (&restart.terminating, restart.command()) {
        (None, Some(command)) => {
            let pods = list_pods(runner, step, restart)?;
            if pods.iter().all(Pod::is_finished) {
                return Err(Error::failure(format!(
                    "no pod matches `{}` any more: nothing to restart",
                    restart.selector
                ))
                .hint(format!(
                    "check the pods: `kubectl get pods --namespace {}`",
                    restart.target.namespace
                )));
            }
            match kubectl::check_success(&runner.run(step, &command)?) {
                // kubectl deletes the pods one by one, and one can disappear before its turn.
                Ok(()) | Err(KubectlError::NotFound(_)) => {}
                Err(failure) => return Err(failure.into_error("cannot delete the pods")),
            }
            pods.into_iter().map(|pod| pod.metadata.uid).collect()
        }
        (terminating, _) => terminating.clone().unwrap_or_default(),
    };
    wait_for_pods(runner, step, restart, &old_uids)?;
    let old_pods = if old_uids.is_empty() {
        String::new()
    } else {
        format!("{} old pods are gone, ", old_uids.len())
    };
    runner.ui.report_step(
        step,
        StepOutcome::Done,
        &format!("{old_pods}{} new pods are ready", restart.ready_pods),
    );
    Ok(())
}

fn list_pods(runner: &Runner, step: &str, restart: &PodRestart) -> Result<Vec<Pod>> {
    let output = runner.run(&format!("{step}-list"), &restart.list_command())?;
    kubectl::parse_list(&output).map_err(|failure| failure.into_error("cannot list the pods"))
}

fn wait_for_pods(
    runner: &Runner,
    step: &str,
    restart: &PodRestart,
    old_uids: &[String],
) -> Result<()> {
    let PodRestart {
        target,
        selector,
        ready_pods,
        timeout,
        ..
    } = restart;
    let wait = ConditionWatch {
        runner,
        step,
        condition: format!("{ready_pods} pods to restart"),
        timeout: *timeout,
        start: Instant::now(),
        details_command: format!(
            "`kubectl describe pods --selector {selector} --namespace {}`",
            target.namespace
        ),
    };
    loop {
        let mut observer = PodObserver {
            old_uids,
            ready_count: *ready_pods,
            pods: BTreeMap::new(),
            synced: false,
        };
        wait.wait_for_decision(&restart.watch_command(), &mut observer, |_, _| Ok(()))?;
        if observer.synced {
            return Ok(());
        }
        // A watch begins with one event for each existing pod. A decision among these is premature,
        // so a complete list confirms it.
        let pods = list_pods(runner, step, restart)?;
        observer.pods = pods
            .into_iter()
            .map(|pod| (pod.metadata.uid.clone(), pod))
            .collect();
        if observer.decision().is_some() {
            return Ok(());
        }
        runner.executor.sleep(POD_RECHECK_DELAY)?;
    }
}

struct PodObserver<'a> {
    old_uids: &'a [String],
    ready_count: usize,
    /// The existing pods by UID.
    pods: BTreeMap<String, Pod>,
    /// The watch has reported every pod that existed at its start, because it reported a change.
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

    fn describe_state(&self) -> String {
        let (old, ready) = self.count_pods();
        format!("{ready} of {} ready, {old} old", self.ready_count)
    }

    fn decision(&self) -> Option<()> {
        let (old, ready) = self.count_pods();
        (ready >= self.ready_count && old == 0).then_some(())
    }
}

impl PodObserver<'_> {
    /// Counts the old pods, and the new pods that are ready.
    fn count_pods(&self) -> (usize, usize) {
        let (old, new): (Vec<_>, Vec<_>) = self
            .pods
            .iter()
            .partition(|(uid, _)| self.old_uids.contains(uid));
        let ready = new.iter().filter(|(_, pod)| pod.is_ready()).count();
        (old.len(), ready)
    }
}
