//! Which flow answers what: each command, message and timer in one line.

use crate::acking::End;
use crate::agenda::Timer;
use crate::command::{Command, Errand, Question, Refusal, Reply};
use crate::effect::Effect;
use crate::federating::Need;
use crate::id::{NodeId, Ticket};
use crate::limits;
use crate::log::answer;
use crate::message::Message;
use crate::node::Node;
use crate::time::Now;

impl Node {
    pub(crate) fn on_command(
        &mut self,
        now: Now,
        ticket: Ticket,
        command: Command<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let reply = match command {
            Command::AddJob(add) => return self.add_job(now, ticket, &add, effects),
            Command::GetJob(get) => return self.get_job(now.time, ticket, &get, effects),
            Command::AckJob(ids, result) => self.ack_jobs(now.time, &ids, result, effects),
            Command::FastAck(ids) => self.fast_ack_jobs(now.time, &ids, effects),
            Command::DelJob(ids) => self.delete_jobs(now.time, &ids, effects),
            Command::EndJob(ids) => {
                let errand = (ids, Errand::Delete);
                return self.run_errand(now.time, ticket, errand, effects);
            }
            Command::WaitJob(wait) => {
                return self.wait_for_jobs(now.time, ticket, &wait, effects);
            }
            Command::Enqueue(ids) => self.enqueue_jobs(now.time, &ids, effects),
            Command::Nack(nack) => {
                let errand = nack.into_errand();
                return self.run_errand(now.time, ticket, errand, effects);
            }
            Command::Dequeue(ids) => self.dequeue_jobs(now.time, &ids),
            Command::Working(None, _) => Reply::Refused(Refusal::UnknownJob),
            Command::Working(Some(id), progress) => {
                let errand = Errand::Working(progress.map(<[u8]>::to_vec));
                return self.run_errand(now.time, ticket, (vec![id], errand), effects);
            }
            Command::Show(id) => self.show(now.time, id),
            Command::QueueLength(queue) => self.queue_length(queue),
            Command::QueuePeek {
                queue,
                count,
                is_meta,
            } => self.queue_peek(queue, count, is_meta),
            Command::QueueStat { queue, detail } => self.queue_stat(now.time, queue, detail),
            Command::Pause(pause) => self.pause(now, &pause, effects),
            Command::QueueConfig(config) => self.configure_queues(now, &config, effects),
            Command::QueueScan(scan) => self.queue_scan(now.time, &scan),
            Command::JobScan(scan) => self.job_scan(now.time, &scan),
            Command::QueueList(list) => self.queue_list(now.time, &list),
            Command::Promote(None, _) => Reply::Count(0),
            Command::Promote(Some(id), priority) => {
                let errand = (vec![id], Errand::Promote(priority));
                return self.run_errand(now.time, ticket, errand, effects);
            }
            Command::PurgeQueue(queue) => {
                return self.purge_queue(now, ticket, queue, effects);
            }
            Command::Explain(None) => Reply::Explained(None),
            Command::Explain(Some(id)) => {
                return self.gather(now.time, ticket, Question::Explain(id), effects);
            }
            Command::Topic(command) => {
                return self.on_topic_command(now, ticket, &command, effects);
            }
            Command::Global(question) => return self.gather(now.time, ticket, question, effects),
        };
        answer(ticket, reply, effects);
    }

    pub(crate) fn on_message(
        &mut self,
        now: Now,
        from: NodeId,
        message: Message,
        effects: &mut Vec<Effect>,
    ) {
        if self.peers.is_forgotten(&from) {
            return;
        }
        // Without a slot nothing can be remembered of a node: what it says is lost, and its own retries go on.
        let Some(from) = self.peers.find_or_add(&from) else {
            return;
        };
        let time = now.time;
        match message {
            Message::State(state) => self.on_peer_state(time, from, state, effects),
            Message::ReplJob(copy) => self.on_repl_job(time, from, *copy, effects),
            Message::GotJob(id) => self.on_got_job(time, from, id, effects),
            Message::Missing(id) => self.on_missing(time, from, id, effects),
            Message::Holders {
                id,
                holders,
                copies,
            } => self.on_holders(time, from, id, &holders, copies, effects),
            Message::Enqueue {
                id,
                delay_ms,
                extras,
            } => self.on_enqueue_message(time, from, (id, &extras), delay_ms, effects),
            Message::WillQueue { id, extras } => {
                self.on_will_queue(time, from, (id, &extras), effects);
            }
            Message::Moved { id, extras } => self.on_moved(time, from, (id, &extras), effects),
            Message::Queued {
                id,
                nacks,
                additional_deliveries,
                extras,
            } => {
                let counted = (nacks, additional_deliveries);
                self.on_queued(time, from, (id, &extras), counted, effects);
            }
            Message::Working { id, for_ms, extras } => {
                self.on_working(time, from, (id, &extras), for_ms, effects);
            }
            Message::SetAck {
                id,
                holders,
                withdrawn,
                extras,
            } => {
                let end = End::told(time, withdrawn, &extras);
                self.on_set_ack(time, from, id, &holders, end, effects);
            }
            Message::GotAck { id, known, holders } => {
                self.on_got_ack(time, from, id, known, &holders, effects);
            }
            Message::DelJob { id, extras } => {
                let end = End::told_last(time, &extras);
                self.on_delete_message(time, id, &end, effects);
            }
            Message::NeedJobs {
                queue,
                count,
                waiting,
                at_once,
            } => {
                let need = Need::told(count, waiting, at_once);
                self.on_need_jobs(time, from, &queue, need, effects);
            }
            Message::YourJobs(jobs) => self.on_your_jobs(now, from, jobs, effects),
            Message::Settings(settings) => self.on_settings(now, from, &settings, effects),
            Message::SettingsDigest { digest, answer } => {
                self.on_settings_digest(from, digest, answer, effects);
            }
            Message::Ask { number, question } => {
                self.on_ask(now, from, number, &question, effects);
            }
            Message::Answer { number, answer } => {
                self.on_answer(time, from, number, answer, effects);
            }
            Message::Watch(ids) => self.on_watch(time, from, &ids, effects),
            Message::Fates(fates) => self.on_fates(from, fates, effects),
            Message::Key(news) => self.on_key_news(time, from, *news, effects),
            Message::Topic(message) => self.on_topic_message(now, from, *message, effects),
        }
    }

    pub(crate) fn on_timer(&mut self, now: Now, timer: Timer, effects: &mut Vec<Effect>) {
        match timer {
            // It may just have been served by a job that was due at the same moment.
            Timer::Waiter(id) if self.waiters.holds(id) => {
                self.give_up(now.time, id, Reply::NothingToDeliver, effects);
            }
            Timer::Waiter(_) => {}
            Timer::Queue(key) => self.on_queue_idle(now.time, key),
            Timer::Mark => {
                self.mark(now, effects);
                self.forget_old_settings(now);
                self.agenda
                    .add_timer(now.time + limits::MARK_EVERY, Timer::Mark);
            }
            Timer::Spilling => self.on_spilling(),
            Timer::Rewrite => self.on_rewrite(now.time, effects),
            Timer::Absence => self.on_absence(now.time),
            Timer::Expected => self.on_expected(now.time, effects),
            Timer::State => self.on_state_timer(now.time, effects),
            Timer::Healing => self.on_healing(now.time, effects),
            Timer::Collection => self.on_collection_timer(now.time, effects),
            Timer::Forgotten => self.on_forgotten_timer(now.time),
            Timer::Federation => self.on_federation(now.time, effects),
            Timer::Agreement => self.on_agreement(now.time, effects),
            Timer::Redriving => self.on_redriving(now.time, effects),
            Timer::JobWait(number) => self.on_job_wait_late(number, effects),
            Timer::WatchAgain => self.on_watch_again(now.time, effects),
            Timer::Watches => self.on_watches(now.time),
            Timer::KeyedAdd(number) => self.on_keyed_add_late(now.time, number, effects),
            Timer::Dedup => self.on_dedup(now.time, effects),
            Timer::Purging => self.on_purging(now.time, effects),
            Timer::HandOver => self.on_hand_over_timer(now.time, effects),
            Timer::TopicRead(id) => self.on_topic_read_late(id, effects),
            Timer::TopicPages => self.on_topic_pages(now, effects),
            Timer::TopicCheck => self.on_topic_check(now, effects),
            Timer::TopicAsk => self.on_topic_ask(),
            Timer::TopicPublishes => self.on_publishes_late(now.time, effects),
            Timer::TopicCompaction => self.on_topic_compaction(now, effects),
            Timer::TopicBindings => self.on_topic_bindings(),
            Timer::Retention => self.on_retention(now, effects),
            Timer::Lagging => self.on_lagging(now),
            Timer::Gathering => self.on_gathering_late(now.time, effects),
        }
    }
}
