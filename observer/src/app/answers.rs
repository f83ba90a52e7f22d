//! What an observer that runs says to those who ask it, and whom a command asks before it attaches anything.

use std::{
    fs::DirBuilder,
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result, bail};

use super::{
    Usage,
    describe::{self, engine, engine::Said, merge, seen::Seen},
    edge::{self, Edge},
    exit,
    sinks::{Observer, page_options},
    talk,
    watching::Plan,
};
use crate::{
    cli,
    filter::Asked,
    output::{Known, Source},
    record::Header,
    service::{Answer, Ask, Client, Line, Page, Question, Server, State},
    sink::{Identity, is_broken_pipe, table},
    source::facts::{HostRoot, cri::Cri, kube::Access},
};

/// The socket of an observer that is to answer, if any.
pub struct Service {
    server: Option<Server>,
    identity: Identity,
    header: Header,
}

impl Service {
    /// Listens where the plan says so. One that cannot is no reason not to watch.
    pub fn listen(plan: &Plan, observer: &Observer, header: Header) -> Service {
        let server =
            plan.answers_at.and_then(|path| match make_folder(path).and_then(|()| Server::listen(path)) {
                Ok(server) => Some(server),
                Err(error) => {
                    talk::say(format_args!("no questions are answered at {}: {error}", path.display()));
                    None
                }
            });
        Service { server, identity: observer.identity.clone(), header }
    }

    pub async fn next(&mut self) -> Question {
        match &mut self.server {
            Some(server) => server.next().await,
            None => std::future::pending().await,
        }
    }

    /// Gives what only the pipeline knows; the rest is done by the task that was asked.
    pub fn answer(&self, question: Question, edge: &mut Edge, plan: &Plan) {
        let answer: Answer = match question.ask {
            Ask::State => lines(vec![Line::State(state(edge, plan)), Line::Done(exit::RAN)]),
            Ask::Describe { who, page } => match Asked::parse(&who) {
                Err(why) => lines(vec![Line::Refused(why)]),
                Ok(asked) => {
                    let seen = Seen::of(edge, &asked);
                    let (host, cri) = edge.places();
                    let access = edge.api().map(|api| Arc::clone(&api.access));
                    let subject = Subject { who, asked, page, host, cri, access };
                    Answer::Lines(Box::pin(describe(subject, seen, self.identity.clone())))
                }
            },
            Ask::Follow => {
                let (open, now) = (edge.pipeline.open_inputs(), edge::now());
                match edge.followers.add(self.header.clone(), now, &open) {
                    Some(batches) => Answer::Follow(batches),
                    None => lines(vec![Line::Refused("as many follow it already as may".to_owned())]),
                }
            }
        };
        // Whoever asked has left.
        let _ = question.answer.send(answer);
    }
}

/// The usual place is made where it is missing; a folder of the user's own is his to make.
fn make_folder(socket: &Path) -> io::Result<()> {
    match socket.parent().filter(|_| socket == Path::new(cli::SOCKET)) {
        Some(folder) => DirBuilder::new().recursive(true).mode(0o755).create(folder),
        None => Ok(()),
    }
}

/// Whether there is a place for the socket that the user named.
///
/// # Errors
/// There is no such folder.
pub fn has_place(service: &cli::Service) -> Result<()> {
    let socket = &service.socket;
    let folder = socket.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder.filter(|_| !is_off(socket) && socket != Path::new(cli::SOCKET)) {
        Some(folder) if !folder.is_dir() => bail!(
            "no questions can be answered at {}: there is no folder {}; make it first, or name another place with \
             --socket, or off",
            socket.display(),
            folder.display()
        ),
        _ => Ok(()),
    }
}

fn lines(lines: Vec<Line>) -> Answer {
    Answer::Lines(Box::pin(async move { lines }))
}

fn state(edge: &Edge, plan: &Plan) -> State {
    State {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        since: edge.pipeline.span().0.0,
        scope: plan.settings.filter.describe(),
        recording: plan
            .watch
            .record
            .as_deref()
            .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.into())),
    }
}

struct Subject {
    who: String,
    asked: Asked,
    page: Page,
    host: HostRoot,
    cri: Arc<Cri>,
    access: Option<Arc<Access>>,
}

async fn describe(of: Subject, seen: Seen, identity: Identity) -> Vec<Line> {
    let said = Said::ask(&of.host, &of.cri, of.access.as_deref(), &of.asked).await;
    let mut description = merge::describe(&of.who, Source::Observer, seen, said);
    engine::measure_logs(&of.host, &mut description);
    engine::look_at_networks(&of.host, &mut description);
    let format = if of.page.json { cli::Format::Json } else { cli::Format::Table };
    let lang = if of.page.chinese { table::Lang::Zh } else { table::Lang::En };
    let options =
        table::Options { width: of.page.width, color: of.page.color, lang, ..table::Options::default() };
    let mut text = Vec::new();
    match describe::show(&mut text, format, &identity, options, &description) {
        Ok(()) => {
            let code = if description.known == Known::Never { exit::NO_MATCH } else { exit::RAN };
            vec![Line::Text(String::from_utf8_lossy(&text).into_owned()), Line::Done(code)]
        }
        Err(error) => vec![Line::Refused(format!("{error:#}"))],
    }
}

/// The observer that runs on this node already, unless it is not to be asked.
///
/// # Errors
/// There is one, and it does not answer as it should.
pub fn find(service: &cli::Service) -> Result<Option<Client>> {
    let is_asked = !service.standalone && !is_off(&service.socket);
    Ok(if is_asked { Client::find(&service.socket)? } else { None })
}

pub fn is_off(socket: &Path) -> bool {
    socket.as_os_str() == "off"
}

/// Has it described by the observer that runs, which attaches nothing for it.
///
/// # Errors
/// It gives no answer, or standard output cannot be written to.
pub fn ask_to_describe(client: &Client, args: &cli::Describe) -> Result<i32> {
    let options = page_options(args.lang);
    let page = Page {
        json: args.print.format == cli::Format::Json,
        width: options.width,
        color: options.color,
        chinese: options.lang == table::Lang::Zh,
    };
    if let Some(more) = args.watch.duration {
        let State { pid, .. } = client.state;
        talk::say(format_args!("observer (process {pid}) is asked in {} s", more.as_secs_f64()));
        thread::sleep(more);
    }
    let mut out = io::stdout().lock();
    let mut written = Ok(());
    let code = client.ask(Ask::Describe { who: args.who.clone(), page }, |line| {
        if let (Line::Text(text), Ok(())) = (line, &written) {
            written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
        Ok(())
    })?;
    match written {
        Err(error) if !is_broken_pipe(&error) => Err(error).context("cannot write the output"),
        _ => Ok(code),
    }
}

/// The recording that is meant: the one that is named, else that of the observer that runs here, else what one that
/// ran as a service has left.
///
/// # Errors
/// There is none.
pub fn recording(named: Option<&Path>, service: &cli::Service) -> Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let found = find(service)?.and_then(|client| client.state.recording);
    let left = super::service_recording();
    match found.or_else(|| Some(left.clone()).filter(|left| left.is_dir())) {
        Some(path) => Ok(path),
        None => {
            let why = format!(
                "no recording is named, no observer that records answers at {}, and none has left one in {}; name one, \
                 or run `observer run --record DIR/`",
                service.socket.display(),
                left.display()
            );
            Err(Usage(why).into())
        }
    }
}

/// Says what a second observer on this node doubles.
pub fn say_what_is_doubled(service: &cli::Service) {
    if is_off(&service.socket) {
        return;
    }
    // One that does not answer is none that could be asked instead.
    let Ok(Some(client)) = Client::find(&service.socket) else { return };
    let State { pid, version, scope, .. } = &client.state;
    talk::say(format_args!(
        "observer {version} (process {pid}) watches {scope} on this node already: what probes cost is paid twice now"
    ));
}
