//! What the node itself says of those that are asked for, beside what was watched: its engines, and what kubelets leave
//! behind of pods that are gone.

use std::{fs, time::UNIX_EPOCH};

use crate::{
    filter::Asked,
    input::LookupError,
    output::{Api, Condition, Description},
    source::facts::{
        HostRoot,
        cri::{Cri, Listed},
        kube::{self, Access},
        network,
    },
    time::Wall,
};

/// Where kubelets keep the logs of pods, a folder each: `NAMESPACE_NAME_UID`.
const LOGS: &str = "/var/log/pods";
/// Folders that are looked through.
const MAX_FOLDERS: usize = 10_000;

/// See the module.
#[derive(Default)]
pub struct Said {
    pub listed: Vec<Listed>,
    /// Engines that gave no answer.
    pub errors: Vec<LookupError>,
    /// There is none that could be asked.
    pub no_engine: bool,
    pub logs: Option<Logs>,
    /// What the Kubernetes API says of the pod; `None`: it was not asked, as it was no pod or there is none to ask.
    pub api: Option<Result<Api, String>>,
    /// It is a pod, and there is no API that could be asked.
    pub no_api: bool,
}

/// A folder of logs of a pod, and when it was changed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    pub path: String,
    pub changed: Option<Wall>,
}

impl Said {
    pub async fn ask(host: &HostRoot, cri: &Cri, access: Option<&Access>, asked: &Asked) -> Said {
        let (listed, errors) = cri.list(asked).await;
        let logs = if listed.is_empty() { logs(host, asked) } else { None };
        let api = match (access, asked) {
            (Some(access), Asked::Pod { namespace, name }) => {
                let answer = kube::pod(access, namespace, name).await;
                Some(answer.map(|pod| pod.map_or(Api::Absent, |pod| Api::Pod(Box::new(pod)))))
            }
            _ => None,
        };
        let no_api = access.is_none() && matches!(asked, Asked::Pod { .. });
        Said { listed, errors, no_engine: cri.is_alone(), logs, api, no_api }
    }
}

/// How long the logs are by now, and whether they have grown since they were looked at.
pub fn measure_logs(host: &HostRoot, description: &mut Description) {
    let streams = description.containers.iter_mut().flat_map(|described| &mut described.streams);
    for log in streams.filter_map(|stream| stream.log_file.as_mut()) {
        let Ok(bytes) = host.file_size(&log.path) else { continue };
        let before = log.bytes.replace(bytes);
        if before.is_some_and(|before| bytes > before) {
            log.grew = Some(true);
        }
    }
}

/// The sockets that its containers that run have at this moment.
pub fn look_at_networks(host: &HostRoot, description: &mut Description) {
    let running = description.containers.iter_mut().filter(|it| it.condition == Some(Condition::Running));
    for described in running {
        let init = described.container.instance.map(|instance| instance.init);
        described.network = init.and_then(|init| network::look(host, init));
    }
}

/// The youngest folder of a pod's logs.
fn logs(host: &HostRoot, asked: &Asked) -> Option<Logs> {
    let Asked::Pod { namespace, name } = asked else { return None };
    let begin = format!("{namespace}_{name}_");
    let folders = fs::read_dir(host.path(LOGS)).ok()?.take(MAX_FOLDERS).flatten();
    let of_it = folders.filter_map(|folder| {
        let name = folder.file_name().into_string().ok()?;
        let is_it = name.strip_prefix(&begin).is_some_and(|uid| !uid.is_empty() && !uid.contains('_'));
        let changed = folder.metadata().ok().filter(fs::Metadata::is_dir)?.modified().ok();
        let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = changed.and_then(|since| i64::try_from(since.as_nanos()).ok()).map(Wall);
        is_it.then(|| Logs { path: format!("{LOGS}/{name}"), changed })
    });
    of_it.max_by_key(|logs| logs.changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_is_gone_may_have_left_its_logs() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["shop_web-0_1f", "shop_web-01_2f", "pay_web-0_3f"] {
            fs::create_dir_all(dir.path().join("var/log/pods").join(name)).unwrap();
        }
        let host = HostRoot::at(dir.path());
        let found = |text: &str| logs(&host, &Asked::parse(text).unwrap()).map(|logs| logs.path);
        assert_eq!(found("shop/web-0").as_deref(), Some("/var/log/pods/shop_web-0_1f"));
        assert_eq!((found("shop/web"), found("web-0")), (None, None));
    }
}
