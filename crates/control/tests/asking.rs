//! A client finds the active controller among nodes that come, go and name each other.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ottla_base::config::SecurityProtocol;
use ottla_base::{BrokerId, ClusterId, ErrorCode, LeaderEpoch, PartitionId, ProducerId, TopicId};
use ottla_control::{
    Active, Answer, Candidate, Client, Controller, Forward, Forwarded, Refused, Request,
};
use ottla_controller::{
    BrokerEpoch, Endpoint, Heartbeat, HeartbeatAnswer, IsrChange, Member, ProducerIdBlock,
    Registration,
};
use ottla_rpc::{Address, Channels};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tonic::service::Routes;

/// A panic ends the test.
const WHOLE: &str = "nobody panics while it is locked";

type Script = dyn Fn(Request) -> Result<Answer, Refused> + Send + Sync;

/// A node that answers as it is told.
struct Node {
    answer: Mutex<Arc<Script>>,
    asked: AtomicUsize,
}

struct Running {
    node: Arc<Node>,
    address: Address,
    stop: oneshot::Sender<()>,
    served: JoinSet<()>,
}

fn address_of(listener: &TcpListener) -> Address {
    Address {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().expect("it is bound").port(),
    }
}

impl Controller for Node {
    async fn ask(&self, request: Request) -> Result<Answer, Refused> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer.lock().expect(WHOLE).clone();
        answer(request)
    }
}

impl Running {
    async fn start(answer: Arc<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        Self::on(listener.expect("some port is free"), answer)
    }

    fn on(listener: TcpListener, answer: Arc<Script>) -> Self {
        let address = address_of(&listener);
        let node = Arc::new(Node {
            answer: Mutex::new(answer),
            asked: AtomicUsize::new(0),
        });
        let (handoff, incoming) = ottla_rpc::incoming();
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = Routes::new(ottla_control::service(node.clone()));
        let mut served = JoinSet::new();
        served.spawn(async move {
            let accept = async {
                while let Ok((stream, _)) = listener.accept().await {
                    handoff.put(stream);
                }
            };
            let stopped = async {
                let _or_dropped = stopped.await;
            };
            tokio::select! {
                () = accept => (),
                _ = ottla_rpc::serve(routes, incoming, stopped) => (),
            }
        });
        Self {
            node,
            address,
            stop,
            served,
        }
    }

    async fn stop(self) {
        drop(self.stop);
        self.served.join_all().await;
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            id: None,
            address: self.address.clone(),
        }
    }

    fn asked(&self) -> usize {
        self.node.asked.load(Ordering::Relaxed)
    }

    fn answers_now(&self, answer: Arc<Script>) {
        *self.node.answer.lock().expect(WHOLE) = answer;
    }
}

fn gives(first: i64) -> Arc<Script> {
    let block = ProducerIdBlock {
        first: ProducerId(first),
        len: 1_000,
    };
    Arc::new(move |_| Ok(Answer::ProducerIds(block)))
}

fn names(node: &Running) -> Arc<Script> {
    let active = Active {
        id: BrokerId(7),
        address: node.address.clone(),
    };
    Arc::new(move |_| Err(Refused::NotActive(Some(active.clone()))))
}

fn knows_nobody() -> Arc<Script> {
    Arc::new(|_| Err(Refused::NotActive(None)))
}

fn wants_ids() -> Request {
    Request::AllocateProducerIds {
        broker: BrokerId(1),
        epoch: BrokerEpoch(3),
    }
}

async fn ids(client: &Client) -> i64 {
    let asked = tokio::time::timeout(Duration::from_secs(20), client.ask(wants_ids()));
    match asked.await.expect("somebody answers") {
        Ok(Answer::ProducerIds(block)) => block.first.0,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_is_named_is_asked_and_asked_first_from_then_on() {
    let active = Running::start(gives(5_000)).await;
    let other = Running::start(names(&active)).await;
    let client = Client::new(Channels::default(), vec![other.candidate()]);
    assert_eq!(ids(&client).await, 5_000);
    assert_eq!(ids(&client).await, 5_000);
    assert_eq!((other.asked(), active.asked()), (1, 2));
}

#[tokio::test]
async fn everybody_is_asked_until_one_is_active() {
    let first = Running::start(knows_nobody()).await;
    let second = Running::start(knows_nobody()).await;
    let candidates = vec![first.candidate(), second.candidate()];
    let client = Client::new(Channels::default(), candidates);
    let mut asking = JoinSet::new();
    asking.spawn(async move { ids(&client).await });
    while second.asked() < 2 {
        tokio::task::yield_now().await;
    }
    second.answers_now(gives(9));
    assert_eq!(asking.join_all().await, [9]);
}

#[tokio::test]
async fn one_that_is_gone_is_left_for_the_next() {
    let first = Running::start(gives(1)).await;
    let second = Running::start(gives(2)).await;
    let candidates = vec![first.candidate(), second.candidate()];
    let client = Client::new(Channels::default(), candidates);
    assert_eq!(ids(&client).await, 1);
    first.stop().await;
    assert_eq!(ids(&client).await, 2);
}

#[tokio::test]
async fn one_that_is_silent_is_left_when_another_one_is_known_to_be_active() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let active = Running::start(gives(3)).await;
    let first = Candidate {
        id: None,
        address: address_of(&silent),
    };
    let client = Arc::new(Client::new(Channels::default(), vec![first]));
    let asking = client.clone();
    let mut asked = JoinSet::new();
    asked.spawn(async move { ids(&asking).await });
    let _never_answers = silent.accept().await.unwrap();
    client.turn_to(active.address.clone());
    // Long before it would be given up.
    let answered = tokio::time::timeout(Duration::from_secs(1), asked.join_next()).await;
    assert_eq!(answered.expect("it waits on").unwrap().unwrap(), 3);
    assert_eq!(ids(&client).await, 3);
    assert_eq!(active.asked(), 2);
}

#[tokio::test]
async fn one_that_hangs_is_not_the_first_for_everybody() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let active = Running::start(gives(4)).await;
    let first = Candidate {
        id: None,
        address: address_of(&silent),
    };
    let client = Client::new(Channels::default(), vec![first, active.candidate()]);
    let _held = tokio::select! {
        answer = client.ask(wants_ids()) => panic!("{answer:?}"),
        asked = silent.accept() => asked.unwrap(),
    };
    let asked = tokio::time::timeout(Duration::from_secs(1), ids(&client));
    assert_eq!(asked.await, Ok(4), "it does not wait for one that hangs");
}

#[tokio::test]
async fn one_that_was_elected_is_asked_until_it_knows() {
    let other = Running::start(gives(1)).await;
    let elected = Running::start(knows_nobody()).await;
    let candidates = vec![other.candidate(), elected.candidate()];
    let client = Client::new(Channels::default(), candidates);
    client.turn_to(elected.address.clone());
    let mut asking = JoinSet::new();
    asking.spawn(async move { ids(&client).await });
    while elected.asked() < 2 && other.asked() == 0 {
        tokio::task::yield_now().await;
    }
    elected.answers_now(gives(9));
    assert_eq!(asking.join_all().await, [9]);
    assert_eq!(other.asked(), 0);
}

#[tokio::test]
async fn two_that_name_each_other_are_not_asked_without_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let SocketAddr::V4(at) = listener.local_addr().unwrap() else {
        panic!("127.0.0.1 is of IPv4");
    };
    let first = Running::start(knows_nobody()).await;
    let second = Running::on(listener, names(&first));
    assert_eq!(second.address.port, at.port());
    first.answers_now(names(&second));
    let client = Client::new(Channels::default(), vec![first.candidate()]);
    let asked = tokio::time::timeout(Duration::from_millis(400), client.ask(wants_ids()));
    asked.await.expect_err("nobody is active");
    let asked = first.asked() + second.asked();
    assert!((3..=12).contains(&asked), "asked {asked} times in 0.4 s");
}

#[tokio::test]
async fn what_the_controller_refuses_is_not_asked_elsewhere() {
    let code = ErrorCode::StaleBrokerEpoch;
    let first = Running::start(Arc::new(move |_| Err(Refused::Code(code)))).await;
    let second = Running::start(gives(2)).await;
    let candidates = vec![first.candidate(), second.candidate()];
    let client = Client::new(Channels::default(), candidates);
    assert_eq!(client.ask(wants_ids()).await, Err(code));
    assert_eq!(second.asked(), 0);
}

#[tokio::test]
async fn every_request_and_answer_arrives_as_it_was_sent() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let node = Running::start(knows_nobody()).await;
    let client = Client::new(Channels::default(), vec![node.candidate()]);
    for (request, answer) in exchanges() {
        let told = answer.clone();
        let said = format!("{request:?}");
        let hear = {
            let heard = heard.clone();
            move |request: Request| {
                heard.lock().expect(WHOLE).push(format!("{request:?}"));
                Ok(told.clone())
            }
        };
        node.answers_now(Arc::new(hear));
        assert_eq!(client.ask(request).await, Ok(answer));
        assert_eq!(heard.lock().unwrap().pop(), Some(said));
    }
}

fn change() -> IsrChange {
    IsrChange {
        topic: TopicId([3; 16]),
        partition: PartitionId(5),
        leader_epoch: LeaderEpoch(6),
        partition_epoch: 8,
        isr: vec![
            BrokerId(4).into(),
            Member {
                id: BrokerId(2),
                epoch: Some(BrokerEpoch(9)),
            },
        ],
        recovered: true,
    }
}

fn exchanges() -> Vec<(Request, Answer)> {
    let registration = Registration {
        id: BrokerId(4),
        epoch: BrokerEpoch(0),
        incarnation: [9; 16],
        directory: None,
        rack: Some("east".to_owned()),
        listeners: vec![Endpoint {
            listener: "PLAINTEXT".to_owned(),
            host: "a.example".to_owned(),
            port: 9092,
            protocol: SecurityProtocol::Plaintext,
        }],
        fenced: true,
        in_controlled_shutdown: false,
        last_away: None,
    };
    let heartbeat = Heartbeat {
        broker: BrokerId(4),
        epoch: BrokerEpoch(17),
        caught_up: true,
        wants_fence: false,
        wants_shutdown: true,
    };
    let alter = Request::AlterPartitions {
        broker: BrokerId(4),
        epoch: BrokerEpoch(17),
        changes: vec![change()],
    };
    let forward = Forward {
        frame: Bytes::from_static(b"a request"),
        listener: "PLAINTEXT".to_owned(),
        client: "127.0.0.1:5".to_owned(),
        broker: BrokerId(4),
    };
    let forwarded = Forwarded {
        frame: Bytes::from_static(b"an answer"),
        metadata_end: 12,
    };
    let block = ProducerIdBlock {
        first: ProducerId(2_000),
        len: 1_000,
    };
    let heard = |metadata_end| Answer::Heartbeat {
        answer: HeartbeatAnswer {
            fenced: false,
            may_shut_down: true,
        },
        metadata_end,
    };
    let codes = vec![ErrorCode::None, ErrorCode::FencedLeaderEpoch];
    vec![
        (
            Request::Register {
                cluster: ClusterId::from("abc"),
                broker: registration,
            },
            Answer::Registered(BrokerEpoch(18)),
        ),
        (Request::Heartbeat(heartbeat.clone()), heard(Some(12))),
        (Request::Heartbeat(heartbeat), heard(None)),
        (alter, Answer::Altered(codes)),
        (wants_ids(), Answer::ProducerIds(block)),
        (Request::Forward(forward), Answer::Forwarded(forwarded)),
    ]
}
