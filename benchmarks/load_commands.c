/* The commands: each is carried out to its end before it is answered. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 64 /* messages between two looks at the sockets */
#define PROBE_CHANNEL 0x7f000000

static uint32_t argument(const char *line, const char *name)
{
    const char *found = strstr(line, name);
    return found ? (uint32_t)strtoul(found + strlen(name), NULL, 10) : 0;
}

void open_clients(const char *line)
{
    uint32_t count = argument(line, " count="), channels = argument(line, " channels="),
             first = argument(line, " first="), window = argument(line, " window="),
             servers = argument(line, " servers=");
    if (!servers || servers > target.servers)
        servers = target.servers;
    bool held = !argument(line, " subscribe=");
    for (uint32_t i = 0; i < count || pending;) {
        for (; i < count && pending < window; i++) {
            struct client *c = new_client(first + i % channels);
            c->server = i / channels % servers;
            c->held = held;
            c->state = HELD;
            if (held && target.id_in_path)
                continue; /* its handshake is its subscription */
            pending++;
            start(c);
        }
        if (pending)
            turn(100000000);
        check_progress();
    }
}

static void subscribe_one(struct client *c, uint32_t expect)
{
    c->expected = c->frames + expect;
    incomplete++;
    if (target.id_in_path) {
        c->held = false;
        pending++;
        start(c);
    } else {
        send_id(c);
    }
}

void subscribe_clients(const char *line)
{
    uint32_t expect = argument(line, " expect="), window = argument(line, " window=");
    for (uint32_t i = 0; i < used || incomplete;) {
        for (; i < used && incomplete < window; i++)
            if (clients[i].held)
                subscribe_one(&clients[i], expect);
        if (incomplete)
            turn(100000000);
        check_progress();
    }
}

struct order {
    uint32_t first, channels, messages, rate, finish, probe;
    uint64_t total, next, started, probed;
};

static void expect_order(struct order *o)
{
    uint32_t each = o->messages + (o->finish ? 1 : 0);
    for (uint32_t i = 0; i < used; i++) {
        struct client *c = &clients[i];
        if (c->state != OPEN || c->channel - o->first >= o->channels)
            continue;
        c->base = c->frames;
        c->expected = c->frames + each;
        incomplete++;
        c->leaves = o->finish;
        unclosed += o->finish;
    }
    sent = realloc(sent, (size_t)each * o->channels * sizeof *sent);
    if (!sent)
        die("out of memory");
    sent_first = o->first, sent_channels = o->channels, sent_messages = each;
}

/* Sends what is due, at most BATCH messages; false if the server takes no more. */
static bool publish_due(struct order *o)
{
    uint64_t due = o->rate ? (now() - o->started) * o->rate / 1000000000 + 1 : o->total;
    uint64_t end = o->next + BATCH;
    bool taken = true;
    if (end > due)
        end = due;
    if (end > o->total)
        end = o->total;
    for (; o->next < end && taken; o->next += taken) {
        uint32_t message = (uint32_t)(o->next / o->channels);
        uint32_t channel = o->first + (uint32_t)(o->next % o->channels);
        sent[o->next] = now();
        taken = publish_message(channel, message, message == o->messages);
        progress += taken;
    }
    flush_publishers();
    return taken;
}

/* Returns how long the loop may sleep before something has to be sent, in ns. */
static uint64_t until_due(struct order *o, bool taken)
{
    uint64_t time = now() - o->started;
    if (o->next == o->total)
        return 10000000;
    if (!taken)
        return 200000;
    if (!o->rate)
        return 0;
    uint64_t due = o->next * 1000000000 / o->rate + 1;
    return due <= time ? 0 : due - time < 10000000 ? due - time : 10000000;
}

static void probe(struct order *o)
{
    if (!o->probe || o->next == o->total || now() - o->probed < o->probe * 1000000ull)
        return;
    o->probed = now();
    struct client *c = new_client(PROBE_CHANNEL);
    c->probe = true;
    pending++;
    start(c);
}

void publish(const char *line)
{
    struct order o = {argument(line, " first="), argument(line, " channels="),
                      argument(line, " messages="), argument(line, " rate="),
                      argument(line, " finish="), argument(line, " probe="),
                      .next = 0, .started = now()};
    o.total = (uint64_t)(o.messages + (o.finish ? 1 : 0)) * o.channels;
    expect_order(&o);
    while (o.next < o.total || incomplete || unclosed || unanswered || pending) {
        bool taken = publish_due(&o);
        probe(&o);
        turn(until_due(&o, taken));
        check_progress();
    }
}

void close_clients(void)
{
    for (uint32_t i = 0; i < used; i++)
        drop(&clients[i]);
    used = 0;
}
