"""The kernel of the DRAM simulator: one trace through trace player, arbiter, controllers and devices.

Event driven: time jumps from one command, arrival or response to the next. It counts in ticks, which are cycles
of the memory clock, except where a quirk of DRAMSys needs picoseconds. The semantics are those of DRAMSys 4.0
(Steiner et al., "DRAMSys4.0: A Fast and Cycle-Accurate SystemC/TLM-Based DRAM Simulator", SAMOS 2020), which
the table of that tool's runs in the tests pins down to the picosecond. Within one instant work proceeds in
rounds. In a round controllers go first, then arbiter and trace player until they have nothing more to tell each
other; what they tell a controller comes in the next round. In compat mode each message takes a round of its own,
and the order within a round is that of SystemC's event queue.

A controller that is evaluated (1) finishes a response and starts the next, (2) accepts the offered request
if its buffer has room, (3) lets the refresh and power-down managers act, (4) collects one candidate command
a bank and a rank, (5) issues at most one, (6) prepares every bank's next command and its earliest legal time.

The functions below pass arrays by their one-letter names, all int64 (``borrow``ed): K knobs, Q requests, B banks,
R ranks, C channels, E energy domains, A trace player and arbiter, N counters, P pending events, H queue of timed
events, D events of the next round, M messages, X earliest times, T timing rules; columns have names. Everything
else is an integer or a flag.

Earliest times are kept, not searched: every issued command raises the earliest times of those it
constrains (tables T, from ``.timing``), per bank, bank group and rank.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archgym.borrow import borrow
from archgym.kernel import kernel

Ints = npt.NDArray[np.int64]

NEVER = 1 << 60
NO_RULE = -(1 << 40)  # in tables: one command does not constrain the other

# Commands, as in command_trace.NAMES: below ACT they are column commands.
(
    NOP,
    RD,
    WR,
    RDA,
    WRA,
    ACT,
    PRE,
    PREA,
    REFA,
    REFB,
    REFSB,
    PRESB,
    PDEA,
    PDXA,
    PDEP,
    PDXP,
    SREFEN,
    SREFEX,
) = range(18)
N_COMMAND = 18

# Rows of the timing tables T, after the N_COMMAND rows of rules for the same bank.
AFTER_GROUP, AFTER_RANK, AFTER_OTHER = N_COMMAND, 2 * N_COMMAND, 3 * N_COMMAND
LENGTH, FAW_PUSH, FAW_GAP, N_TABLE = 4 * N_COMMAND, 4 * N_COMMAND + 1, 4 * N_COMMAND + 2, 4 * N_COMMAND + 3

# Levels of the knobs.
OPEN, OPEN_ADAPTIVE, CLOSED, CLOSED_ADAPTIVE = range(4)
FIFO, FR_FCFS, FR_FCFS_GRP = range(3)
BANKWISE, READ_WRITE, SHARED = range(3)
OLDEST, STRICT = range(2)
IN_ORDER_OF_COMMANDS, REORDER = range(2)  # response queue
NO_REFRESH, ALL_BANK, PER_BANK, SAME_BANK = range(4)
NO_POWER_DOWN, STAGGERED = range(2)
ARBITER_SIMPLE, ARBITER_FIFO, ARBITER_REORDER = range(3)

# Knobs and constants of one run (int64).
(
    PAGE_POLICY,
    SCHEDULER,
    BUFFER,
    BUFFER_SIZE,
    COMMAND_MUX,
    RESPONSE_QUEUE,
    REFRESH,
    MAX_POSTPONED,
    MAX_PULLED_IN,
    POWER_DOWN,
    ARBITER,
    MAX_ACTIVE,
    WRITE_HIGH,  # 0: reads and writes are scheduled alike
    WRITE_LOW,
    HIT_CAP,  # 0: none
    COMPAT,  # 1: with DRAMSys' quirks
    TWO_BUSES,  # row and column commands have buses of their own
    CHANNELS,
    RANKS,  # per channel
    GROUPS,  # per rank
    BANKS,  # per group
    CYCLE,  # ticks per cycle of the memory clock; all times are ticks
    TICK_PS,
    PLAYER_PS,  # clock period of the trace player
    FIRST_COMMAND,  # earliest
    WINDOW,  # closed loop: outstanding requests; 0: open loop, timestamps rule
    THINK,  # closed loop: cycles from a response to the request it makes room for
    READ_END,  # command to last data
    WRITE_END,
    INTERVAL,  # between refresh commands of a rank: all-bank
    UNIT_INTERVAL,  # per-bank or same-bank
    REFRESH_ROUND,  # REFB to REFB of one rank when all banks are through; 0: as the tables say
    READ_CLOSE,  # RDA to the precharge it contains
    WRITE_CLOSE,
    ROW_ACTIVE,  # tRAS
    REFRESH_OPEN,  # how long an all-bank refresh draws active current: tRFC - tRP
    READ_DONE,  # effect of the last command, for DRAMPower's window
    WRITE_DONE,
    ACTIVATE_DONE,
    PRECHARGE_DONE,
    PATIENCE,  # cycles without progress after which nothing will ever move again
    RECORD,  # commands to record
) = range(42)
N_KNOB = 42

# Counters of one run (int64).
(
    STATUS,  # 0 finished, 1 deadlock
    TIME,  # of the last response
    SERVED,
    ROW_HITS,
    ROW_MISSES,
    ROW_CONFLICTS,
    FORWARDED,
    N_COMMANDS,
    COUNT,  # commands by code, N_COMMAND of them
) = range(9)
CLOSINGS = COUNT + N_COMMAND  # banks precharged, whichever way
ACTIVE = CLOSINGS + 1  # cycles with a bank open, per energy domain summed
ACTIVE_DOWN = ACTIVE + 1
PRECHARGED_DOWN = ACTIVE + 2
SELF_REFRESH = ACTIVE + 3
WINDOW_END = ACTIVE + 4
IDLE = ACTIVE + 5  # cycles in which channel 0 holds no request
N_COUNTER = ACTIVE + 6

# State of a bank.
(
    ROW,  # open row, -1 precharged
    COMMAND,  # candidate, NOP none
    PICK,  # its request
    PICK_SEQUENCE,
    CURRENT,  # request the bank works for: it is idle if -1
    HEAD,  # list of waiting requests
    TAIL,
    WAITING,
    BLOCKED,  # by a forced refresh
    STALE,  # candidate must be prepared anew
    SERVED_HITS,  # column commands since ACT
    OPENED,  # time of ACT
    BANK_RANK,
    BANK_GROUP,  # row of X
    N_BANK,
) = range(15)

# State of a rank.
(
    PAYLOADS,
    ASLEEP,
    REF_DUE,
    REF_FLEX,
    REF_PULLED,
    REF_COMMAND,
    REF_BANK,
    REF_SLEEPS,
    REF_LEFT,  # units not yet refreshed in this round, bit mask
    REF_UNIT,
    REF_SKIP,
    REF_COUNT,  # unit refreshes, modulo the units
    PD_STATE,
    PD_IDLE,
    PD_ENTER,
    PD_EXIT,
    PD_SELF,
    PD_COMMAND,
    PD_OPEN,
    FAW_AT,
    FAW_0,
    FAW_1,
    FAW_2,
    FAW_3,
    RANK_CHANNEL,
    RANK_ROW,  # of X
    N_RANK,
) = range(27)

PD_RUNNING, PD_ACTIVE, PD_PRECHARGED, PD_SELF_REFRESH, PD_EXTRA_REFRESH = range(5)

# State of a channel.
(
    OFFER_AT,
    OFFERED,  # request offered to the controller, -1 none
    RESPONSE,  # request whose response is being transferred, -1 none
    RELEASED_AT,
    RESPOND_AT,  # response that starts a cycle late
    HELD,  # requests inside
    READS,
    WRITES,
    ELIGIBLE,  # writes that no older read of the same line holds back
    DRAINING,
    LAST_BANK,
    LAST_WRITE,  # type of the last column command
    NEXT_COLUMN,  # Strict: sequence number of the next column command
    NEXT_RESPONSE,  # Reorder
    READY_HEAD,  # list of finished requests in order of commands
    READY_TAIL,
    BUS_FREE,
    COLUMN_BUS_FREE,
    BUSY,  # arbiter: a request is offered or on its way
    END_REQUEST_AT,
    QUEUE_HEAD,  # accepted by the arbiter, not yet offered: positions among the channel's requests
    QUEUE_TAIL,
    CHANGED,
    NEXT_AT,  # earliest next command
    PENDING,  # a refresh waits for its command
    REFRESH_AT,  # next refresh that falls due
    IDLE_SINCE,
    N_CHANNEL,
) = range(28)

# Energy domain: a rank; in compat mode a channel.
(E_OPEN, E_FROM, E_UNTIL, E_DOWN, E_SINCE, E_LAST, E_END, N_ENERGY) = range(8)

# A request of the trace. The first six columns are the caller's, the rest is state and results.
(
    Q_BANK,  # over all channels and ranks
    Q_ROW,
    Q_LINE,  # equal for requests that touch the same data
    Q_WRITE,
    Q_CHANNEL,
    Q_ARRIVE,  # cycle before which it is not sent
    Q_SEQUENCE,  # number in its channel, from 0
    Q_NEXT,  # waiting list of its bank; then list of finished requests
    Q_PREVIOUS,
    Q_HELD,  # write: the older read of its line that must come first, -1 none
    Q_DONE,  # data transferred, -1 not yet
    Q_CLASS,  # 0 hit, 1 miss, 2 conflict, 3 forwarded
    Q_SENT,
    Q_ACCEPTED,
    Q_FINISHED,
    N_REQUEST,
) = range(16)

SEQUENCE_BITS = 24
POWER_DOWN_SEQUENCE = (1 << SEQUENCE_BITS) - 1

BOX = 64  # room for the messages of one round
HEAP = 3 << 15  # for the queue of timed events: most are cancelled ones, at most some per cycle of a refresh interval

# What a channel's command multiplexer takes next.
(
    CHOICE_TIME,
    CHOICE_COMMAND,
    CHOICE_BANK,
    CHOICE_REQUEST,
    CHOICE_RANK,
    CHOICE_KEY,  # time + length on the bus
    CHOICE_ID,  # sequence number + 1, 0 refresh
    CANDIDATES,
    CHOICE_HOLDS,  # nothing but an accepted request can change it
    N_CHOICE,
) = range(10)

# State of the trace player and the arbiter.
(
    SENDING,  # request to send next
    SEND_AT,
    RECEIVED,
    OUTSTANDING,  # closed loop
    PAUSED,  # closed loop: waits for a response before it sends
    DONE_AT,  # response acknowledged between clock edges
    DONE_REQUEST,
    ACTIVE_REQUESTS,
    UNANSWERED,  # request that waits for a place among them, -1 none
    DELIVERING,
    DELIVER_AT,
    DELIVER_REQUEST,
    DELIVERED_AT,
    ARRIVED_HEAD,  # responses to deliver in order of arrival
    ARRIVED_TAIL,
    TO_RETURN,  # Reorder: the request whose response is next
    PROGRESS,  # last time anything moved
    N_PLAYER,
) = range(18)

# Events of a channel; after those of all channels come the arbiter's and the trace player's.
(COMMAND_EVENT, DATA_EVENT, OFFER_EVENT, RELEASE_EVENT, N_EVENT) = range(5)
AT_ONCE = -1  # pending for the next round

# Messages between trace player, arbiter and controllers: request * 8 + kind.
(
    TO_ARBITER_REQUEST,
    TO_ARBITER_ACCEPTED,
    TO_ARBITER_RESPONSE,
    TO_ARBITER_DONE,
    TO_PLAYER_ACCEPTED,
    TO_PLAYER_RESPONSE,
) = range(6)

# Columns of a command record.
(REC_CYCLE, REC_COMMAND, REC_BANK, REC_ROW, REC_REQUEST, N_RECORD) = range(6)


@kernel
def _notify(event, at, P, H, D, now):
    """Announce an event: an earlier one of the same kind that is still to come stands, a later one is replaced.

    P holds what is pending, with a stamp behind; D the events of the next round, counted in D[0]. H is the queue
    of timed events, by which SystemC decides what runs first in an instant: a binary heap whose ties fall as in
    that library (sc_pq.cpp), and which is used in compat mode only, when it is not empty from the start.
    """
    count = P[0]
    if at <= now:
        if P[1 + event] != AT_ONCE and (H[0] >= 0 or event < count - 2):
            P[1 + event] = AT_ONCE
            P[1 + count + event] += 1
            D[0] += 1
            D[D[0]] = event
    elif at < P[1 + event] and P[1 + event] != AT_ONCE:
        P[1 + event] = at
        P[1 + count + event] += 1
        if H[0] >= 0:
            H[0] += 1
            i = H[0]
            assert 3 * i + 2 < HEAP
            while i > 1 and H[3 * (i >> 1)] > at:
                for field in range(3):
                    H[3 * i + field] = H[3 * (i >> 1) + field]
                i >>= 1
            H[3 * i] = at
            H[3 * i + 1] = event
            H[3 * i + 2] = P[1 + count + event]


@kernel
def _pop(H):
    """Remove the first entry of the queue of timed events; returns its event and stamp."""
    event, stamp = H[4], H[5]
    size = H[0]
    for field in range(3):
        H[3 + field] = H[3 * size + field]
    size -= 1
    H[0] = size
    i = 1
    while 2 * i <= size:
        first = 2 * i if H[6 * i] < H[3 * i] else i
        if 2 * i < size and H[6 * i + 3] < H[3 * first]:
            first = 2 * i + 1
        if first == i:
            break
        for field in range(3):
            H[3 * i + field], H[3 * first + field] = H[3 * first + field], H[3 * i + field]
        i = first
    return event, stamp


@kernel
def _next_time(P, H):
    """When the next timed event comes; drops cancelled ones from the head of the queue."""
    count = P[0]
    at = NEVER
    if H[0] < 0:
        for event in range(count):
            at = min(at, P[1 + event])
    else:
        while H[0] > 0 and P[1 + count + H[4]] != H[5]:
            _pop(H)
        if H[0] > 0:
            at = H[3]
    return at


@kernel
def _runnable(now, first_round, K, P, H, D, order, queued):
    """The processes to run in this round, in ``order``: channels, K[CHANNELS] the arbiter, + 1 the trace player.

    In compat mode in the order in which SystemC triggers their events; else channels as they are numbered, and the
    arbiter and the player not at all: they handle their messages at the end of each round.
    """
    channels, count = K[CHANNELS], P[0]
    found = 0
    if H[0] < 0:
        due = now if first_round else AT_ONCE
        for ch in range(channels):
            run = False
            for event in range(1 + ch * N_EVENT, 1 + (ch + 1) * N_EVENT):
                if P[event] == due:
                    P[event] = NEVER
                    run = True
            if run:
                order[found] = ch
                found += 1
        for event in range(count - 1, count + 1):
            if P[event] == now:
                P[event] = NEVER
    else:
        waiting = D[0]
        while waiting > 0 or (first_round and H[0] > 0 and H[3] == now):
            valid = True
            if first_round:
                event, stamp = _pop(H)
                valid = P[1 + count + event] == stamp
            else:  # the last announced comes first
                event = D[waiting]
                waiting -= 1
            if valid:
                P[1 + event] = NEVER
                process = event // N_EVENT if event < channels * N_EVENT else event - channels * (N_EVENT - 1)
                if queued[process] == 0:
                    queued[process] = 1
                    order[found] = process
                    found += 1
        for i in range(found):
            queued[order[i]] = 0
    D[0] = 0
    return found


@kernel
def _choose(bank, K, B, R, C, Q):
    """Prepare the bank's next command: the scheduler's choice and the page policy."""
    B[bank, STALE] = 0
    rank = B[bank, BANK_RANK]
    ch = R[rank, RANK_CHANNEL]
    if B[bank, BLOCKED] == 1 or R[rank, ASLEEP] == 1:
        B[bank, COMMAND] = NOP
    else:
        head = B[bank, HEAD]
        pick = head
        B[bank, CURRENT] = head
        if K[WRITE_HIGH] > 0:  # only requests of the type being served
            while pick >= 0 and (Q[pick, Q_WRITE] != C[ch, DRAINING] or Q[pick, Q_HELD] >= 0):
                pick = Q[pick, Q_NEXT]
        if pick < 0:
            B[bank, COMMAND] = NOP
        elif B[bank, ROW] < 0:
            B[bank, COMMAND] = ACT
            B[bank, PICK] = pick
            B[bank, PICK_SEQUENCE] = Q[pick, Q_SEQUENCE]
            B[bank, CURRENT] = pick
        else:
            row = B[bank, ROW]
            hits = 0  # waiting requests to the open row, counted up to two
            if K[SCHEDULER] == FIFO:
                second = Q[pick, Q_NEXT]
                hits = (1 if Q[pick, Q_ROW] == row else 0) + (1 if second >= 0 and Q[second, Q_ROW] == row else 0)
                if Q[pick, Q_ROW] != row:
                    hits = 0
            elif K[HIT_CAP] > 0 and B[bank, SERVED_HITS] >= K[HIT_CAP] and Q[pick, Q_ROW] != row:
                hits = 0
            else:
                oldest_hit, grouped = -1, -1
                i = pick
                while i >= 0:
                    if Q[i, Q_ROW] == row:
                        hits += 1
                        servable = True
                        if K[WRITE_HIGH] > 0:
                            servable = Q[i, Q_WRITE] == C[ch, DRAINING] and Q[i, Q_HELD] < 0
                        if servable and oldest_hit < 0:
                            oldest_hit = i
                        if servable and K[SCHEDULER] == FR_FCFS_GRP and grouped < 0:
                            if Q[i, Q_WRITE] == C[ch, LAST_WRITE]:
                                grouped = i
                                j = pick
                                while j != i:  # an older hit to the same line must come first
                                    if Q[j, Q_ROW] == row and Q[j, Q_LINE] == Q[i, Q_LINE]:
                                        grouped = -1
                                    j = Q[j, Q_NEXT]
                        if hits >= 2 and oldest_hit >= 0 and (K[SCHEDULER] == FR_FCFS or grouped >= 0):
                            break
                    i = Q[i, Q_NEXT]
                if grouped >= 0:
                    pick = grouped
                elif oldest_hit >= 0:
                    pick = oldest_hit
            B[bank, PICK] = pick
            B[bank, PICK_SEQUENCE] = Q[pick, Q_SEQUENCE]
            B[bank, CURRENT] = pick
            closes = False
            if K[PAGE_POLICY] == OPEN_ADAPTIVE:
                closes = B[bank, WAITING] >= 2 and hits < 2
            elif K[PAGE_POLICY] == CLOSED_ADAPTIVE:
                closes = hits < 2
            elif K[PAGE_POLICY] == CLOSED:
                closes = True
            if Q[pick, Q_ROW] != row:
                B[bank, COMMAND] = PRE
            elif Q[pick, Q_WRITE] == 1:
                B[bank, COMMAND] = WRA if closes else WR
            else:
                B[bank, COMMAND] = RDA if closes else RD


@kernel
def _refresh_start(rank, now, K, B, R):
    """A rank's refresh manager: sets its command; returns when it wants to act next if it has none.

    A unit is what one refresh command covers: all banks, one bank, or one bank of every group. A refresh that
    is due while its banks are busy is postponed; after each further ones are pulled in while they are idle.
    """
    R[rank, REF_COMMAND] = NOP
    wake = R[rank, REF_DUE]
    if now >= wake:
        R[rank, PD_ENTER] = 0
        if R[rank, PD_STATE] != PD_RUNNING:
            R[rank, PD_EXIT] = 1
        wake = NEVER
        if R[rank, REF_SLEEPS] == 0:
            per_rank = K[GROUPS] * K[BANKS]
            all_bank, per_bank = K[REFRESH] == ALL_BANK, K[REFRESH] == PER_BANK
            interval, units, step = K[UNIT_INTERVAL], K[BANKS], K[BANKS]
            if all_bank:
                interval, units, step = K[INTERVAL], 1, 1
            elif per_bank:
                units, step = per_rank, per_rank
            if now >= R[rank, REF_DUE] + interval:
                R[rank, REF_DUE] += interval
                R[rank, REF_PULLED] = 0
            pulled = R[rank, REF_PULLED] == 1
            forced = not pulled and R[rank, REF_FLEX] == K[MAX_POSTPONED] * units
            busy = True
            if pulled or R[rank, REF_SKIP] == 0:  # the first idle unit of those left in this round, else the first
                first = -1
                for unit in range(units):
                    if busy and (R[rank, REF_LEFT] >> unit) & 1 == 1:
                        idle = True
                        for bank in range(rank * per_rank + unit, (rank + 1) * per_rank, step):
                            if B[bank, CURRENT] >= 0:
                                idle = False
                                break
                        if idle:
                            busy = False
                            first = unit
                        elif first < 0:
                            first = unit
                if not pulled or not busy:
                    R[rank, REF_UNIT] = first
            if busy and not forced:
                if pulled:
                    R[rank, REF_PULLED] = 0
                else:
                    R[rank, REF_FLEX] += 1
                R[rank, REF_DUE] += interval
                wake = R[rank, REF_DUE]
            else:
                start = rank * per_rank + R[rank, REF_UNIT]
                any_open = False
                for bank in range(start, (rank + 1) * per_rank, step):
                    any_open = any_open or B[bank, ROW] >= 0
                R[rank, REF_BANK] = start
                if any_open:
                    R[rank, REF_COMMAND] = PREA if all_bank else PRE if per_bank else PRESB
                else:
                    R[rank, REF_COMMAND] = REFA if all_bank else REFB if per_bank else REFSB
                # DRAMSys blocks a single bank only once it is precharged: a request may open it again before
                if forced and (all_bank or not any_open or K[COMPAT] == 0):
                    R[rank, REF_SKIP] = 1
                    for bank in range(start, (rank + 1) * per_rank, step):
                        B[bank, BLOCKED] = 1
                        B[bank, STALE] = 1
    return wake


@kernel
def _power_down_start(rank, R):
    """A rank's power-down manager: sets its command."""
    R[rank, PD_COMMAND] = NOP
    if R[rank, PD_EXIT] == 1:
        state = R[rank, PD_STATE]
        if state == PD_ACTIVE:
            R[rank, PD_COMMAND] = PDXA
        elif state == PD_PRECHARGED:
            R[rank, PD_COMMAND] = PDXP
        elif state == PD_SELF_REFRESH:
            R[rank, PD_COMMAND] = SREFEX
        elif state == PD_EXTRA_REFRESH:
            R[rank, PD_COMMAND] = REFA
    elif R[rank, PD_ENTER] == 1:
        R[rank, PD_COMMAND] = PDEA if R[rank, PD_OPEN] > 0 else PDEP
    elif R[rank, PD_SELF] == 1:
        R[rank, PD_COMMAND] = SREFEN


@kernel
def _account(command, bank, rank, now, K, B, R, E, N):
    """Energy counters of a command, before the bank's state changes.

    A domain draws active current from its first ACT until its last bank is closed, and during a refresh.
    """
    domain = R[rank, RANK_CHANNEL] if K[COMPAT] == 1 else rank
    N[COUNT + command] += 1
    N[N_COMMANDS] += 1
    opened, closed, at, effect = 0, 0, now, -1
    if command == RD:
        effect = K[READ_DONE]
    elif command == WR:
        effect = K[WRITE_DONE]
    elif command == RDA or command == WRA:
        closed, effect = 1, K[PRECHARGE_DONE]
        at = max(now + (K[READ_CLOSE] if command == RDA else K[WRITE_CLOSE]), B[bank, OPENED] + K[ROW_ACTIVE])
    elif command == ACT:
        opened, effect = 1, K[ACTIVATE_DONE]
    elif command == PRE or command == PREA or command == PRESB:
        effect = K[PRECHARGE_DONE]
        step = K[GROUPS] * K[BANKS] if command == PRE else 1 if command == PREA else K[BANKS]
        for b in range(bank, (rank + 1) * K[GROUPS] * K[BANKS], step):
            closed += 1 if B[b, ROW] >= 0 else 0
    until = E[domain, E_UNTIL]
    if (opened > 0 or command == REFA) and E[domain, E_OPEN] == 0 and now > until:
        N[ACTIVE] += until - E[domain, E_FROM]
        E[domain, E_FROM] = now
        E[domain, E_UNTIL] = now
    if command == REFA:
        E[domain, E_UNTIL] = max(E[domain, E_UNTIL], now + K[REFRESH_OPEN])
    if closed > 0:
        E[domain, E_UNTIL] = max(E[domain, E_UNTIL], at)
        N[CLOSINGS] += closed
    E[domain, E_OPEN] += opened - closed
    if command == PDEA or command == PDEP or command == SREFEN:
        N[ACTIVE] += (now if E[domain, E_OPEN] > 0 else min(now, until)) - E[domain, E_FROM]
        E[domain, E_DOWN] = PD_ACTIVE if command == PDEA else PD_PRECHARGED if command == PDEP else PD_SELF_REFRESH
        E[domain, E_SINCE] = now
    elif command >= PDXA:
        N[ACTIVE + E[domain, E_DOWN]] += now - E[domain, E_SINCE]
        E[domain, E_DOWN] = PD_RUNNING
    if command >= PDEA:
        E[domain, E_FROM] = now
        E[domain, E_UNTIL] = now
    if at > E[domain, E_LAST]:  # DRAMPower's window ends when the effect of the last command does
        E[domain, E_LAST] = at
        E[domain, E_END] = at + effect
    elif at == E[domain, E_LAST]:
        E[domain, E_END] = max(E[domain, E_END], at + effect)


@kernel
def _constrain(command, bank, rank, now, K, B, R, C, X, T):  # fmt: skip
    """Raise the earliest times of everything that the command at ``now`` constrains."""
    ch = R[rank, RANK_CHANNEL]
    if command <= PRE or command == REFB:
        group = B[bank, BANK_GROUP]
        for c in range(1, N_COMMAND):
            X[bank, c] = max(X[bank, c], now + T[command, c])
        if K[GROUPS] > 1:
            for c in range(1, N_COMMAND):
                X[group, c] = max(X[group, c], now + T[AFTER_GROUP + command, c])
    elif command == REFSB or command == PRESB:
        for b in range(bank, (rank + 1) * K[GROUPS] * K[BANKS], K[BANKS]):
            for c in range(1, N_COMMAND):
                X[b, c] = max(X[b, c], now + T[command, c])
    row = R[rank, RANK_ROW]
    for c in range(1, N_COMMAND):
        X[row, c] = max(X[row, c], now + T[AFTER_RANK + command, c])
    if K[RANKS] > 1:
        for r in range(ch * K[RANKS], (ch + 1) * K[RANKS]):
            if r != rank:
                other = R[r, RANK_ROW]
                for c in range(1, N_COMMAND):
                    X[other, c] = max(X[other, c], now + T[AFTER_OTHER + command, c])
    if T[FAW_PUSH, command] > NO_RULE:
        R[rank, FAW_0 + R[rank, FAW_AT]] = now + T[FAW_PUSH, command]
        R[rank, FAW_AT] = (R[rank, FAW_AT] + 1) & 3
    if K[TWO_BUSES] == 1 and command < ACT:
        C[ch, COLUMN_BUS_FREE] = now + T[LENGTH, command]
    else:
        C[ch, BUS_FREE] = now + T[LENGTH, command]
    if command == REFB and K[REFRESH_ROUND] > 0:
        R[rank, REF_COUNT] = (R[rank, REF_COUNT] + 1) % (K[GROUPS] * K[BANKS])
        if R[rank, REF_COUNT] == 0:
            X[row, REFB] = max(X[row, REFB], now + K[REFRESH_ROUND])


@kernel
def _refresh_issued(command, rank, now, K, R):
    """The refresh manager learns of a command."""
    if command == REFA or command == REFB or command == REFSB:
        all_bank = K[REFRESH] == ALL_BANK
        interval = K[INTERVAL] if all_bank else K[UNIT_INTERVAL]
        if command == REFA and (R[rank, REF_SLEEPS] == 1 or not all_bank):  # the one after self-refresh
            R[rank, REF_PULLED] = 0
            R[rank, REF_DUE] = now + interval
            R[rank, REF_SLEEPS] = 0
        else:
            units = 1 if all_bank else K[GROUPS] * K[BANKS] if K[REFRESH] == PER_BANK else K[BANKS]
            R[rank, REF_SKIP] = 0
            R[rank, REF_LEFT] &= ~(1 << R[rank, REF_UNIT])
            if R[rank, REF_LEFT] == 0:
                R[rank, REF_LEFT] = (1 << units) - 1
            if R[rank, REF_PULLED] == 1:
                R[rank, REF_FLEX] -= 1
            else:
                R[rank, REF_PULLED] = 1
            if R[rank, REF_FLEX] == -K[MAX_PULLED_IN] * units:
                R[rank, REF_PULLED] = 0
                R[rank, REF_DUE] += interval
    elif command == PDEA or command == PDEP:
        R[rank, REF_SLEEPS] = 1
    elif command == SREFEN:
        R[rank, REF_SLEEPS] = 1
        R[rank, REF_DUE] = NEVER
    elif command == PDXA or command == PDXP:
        R[rank, REF_SLEEPS] = 0


@kernel
def _power_down_issued(command, rank, K, B, R):
    """The power-down manager learns of a command."""
    if command == ACT:
        R[rank, PD_OPEN] += 1
    elif command == PRE or ((command == RDA or command == WRA) and K[COMPAT] == 0):  # DRAMSys forgets RDA and WRA
        R[rank, PD_OPEN] -= 1
    elif command == PREA:
        R[rank, PD_OPEN] = 0
    elif command == PDEA:
        R[rank, PD_STATE] = PD_ACTIVE
        R[rank, PD_ENTER] = 0
    elif command == PDEP:
        R[rank, PD_STATE] = PD_PRECHARGED
        R[rank, PD_ENTER] = 0
    elif command == SREFEN:
        R[rank, PD_STATE] = PD_SELF_REFRESH
        R[rank, PD_ENTER] = 0
        R[rank, PD_SELF] = 0
    elif command == PDXA:
        R[rank, PD_STATE] = PD_RUNNING
        R[rank, PD_EXIT] = 0
    elif command == PDXP:
        R[rank, PD_STATE] = PD_RUNNING
        R[rank, PD_EXIT] = 0
        if R[rank, PD_IDLE] == 1:
            R[rank, PD_SELF] = 1
    elif command == SREFEX:
        R[rank, PD_STATE] = PD_EXTRA_REFRESH
    elif command == REFA and R[rank, PD_STATE] == PD_EXTRA_REFRESH:
        R[rank, PD_STATE] = PD_RUNNING
        R[rank, PD_EXIT] = 0
    elif (command == REFA or command == REFB or command == REFSB) and R[rank, PD_IDLE] == 1:
        R[rank, PD_ENTER] = 1


@kernel
def _banks_issued(command, bank, rank, request, now, K, B, R, Q):
    """The bank machines learn of a command."""
    if command <= PRE or command == REFB:
        B[bank, STALE] = 1
        if command == ACT:
            B[bank, ROW] = Q[request, Q_ROW]
            B[bank, OPENED] = now
            B[bank, SERVED_HITS] = 0
        elif command == PRE:
            B[bank, ROW] = -1
        elif command == REFB:
            B[bank, BLOCKED] = 0
        else:
            B[bank, CURRENT] = -1
            B[bank, SERVED_HITS] += 1
            if command == RDA or command == WRA:
                B[bank, ROW] = -1
    else:
        if command == PDEA or command == PDEP or command == SREFEN:
            R[rank, ASLEEP] = 1
        elif command == PDXA or command == PDXP or command == REFA:
            R[rank, ASLEEP] = 0
        step = K[BANKS] if command == REFSB or command == PRESB else 1
        for b in range(bank, (rank + 1) * K[GROUPS] * K[BANKS], step):
            B[b, STALE] = 1
            if command == PREA or command == PRESB:
                if command == PRESB and B[b, ROW] >= 0:
                    R[rank, PD_OPEN] -= 1
                B[b, ROW] = -1
            elif command == REFA or command == REFSB:
                B[b, BLOCKED] = 0


@kernel
def _drain_mode(ch, K, B, C):
    """Switch between serving reads and draining writes."""
    reads, writes, eligible = C[ch, READS], C[ch, WRITES], C[ch, ELIGIBLE]
    draining = C[ch, DRAINING]
    if draining == 0:
        if eligible > 0 and (writes >= K[WRITE_HIGH] or reads == 0):
            draining = 1
    elif eligible == 0 or (writes <= K[WRITE_LOW] and reads > 0):
        draining = 0
    if draining != C[ch, DRAINING]:
        C[ch, DRAINING] = draining
        per_channel = K[RANKS] * K[GROUPS] * K[BANKS]
        for bank in range(ch * per_channel, (ch + 1) * per_channel):
            B[bank, STALE] = 1


@kernel
def _finish(ch, request, at, K, C, Q):
    """Queue a response that is ready at ``at``."""
    Q[request, Q_DONE] = at
    if K[RESPONSE_QUEUE] == IN_ORDER_OF_COMMANDS:
        Q[request, Q_NEXT] = -1
        if C[ch, READY_HEAD] < 0:
            C[ch, READY_HEAD] = request
        else:
            Q[C[ch, READY_TAIL], Q_NEXT] = request
        C[ch, READY_TAIL] = request


@kernel
def _response_head(ch, K, C, Q, in_channel, offset):
    """The request whose response is next in line, -1 if there is none yet."""
    request = C[ch, READY_HEAD]
    if K[RESPONSE_QUEUE] == REORDER:
        position = offset[ch] + C[ch, NEXT_RESPONSE]
        request = -1
        if position < offset[ch + 1]:
            request = in_channel[position]
            if Q[request, Q_DONE] < 0:
                request = -1
    return request


@kernel
def _start_response(ch, now, late, K, C, Q, P, H, D, in_channel, offset, M, out):
    """Start the next response if it is ready, a cycle late behind another; else wait for it."""
    head = _response_head(ch, K, C, Q, in_channel, offset)
    if head >= 0 and Q[head, Q_DONE] <= now:
        if K[RESPONSE_QUEUE] == REORDER:
            C[ch, NEXT_RESPONSE] += 1
        else:
            C[ch, READY_HEAD] = Q[head, Q_NEXT]
        C[ch, RESPONSE] = head
        C[ch, RELEASED_AT] = NEVER
        if late:
            C[ch, RESPOND_AT] = now + K[CYCLE]
            _notify(N_EVENT * K[CHANNELS], C[ch, RESPOND_AT], P, H, D, now)
        else:
            M[out] = head * 8 + TO_ARBITER_RESPONSE
            out += 1
            _notify(N_EVENT * K[CHANNELS], now, P, H, D, now)
    elif head >= 0:
        _notify(N_EVENT * ch + DATA_EVENT, Q[head, Q_DONE], P, H, D, now)
    return out


@kernel
def _await_response(ch, now, K, C, Q, P, H, D, in_channel, offset):
    head = _response_head(ch, K, C, Q, in_channel, offset)
    if head >= 0 and Q[head, Q_DONE] > now:
        _notify(N_EVENT * ch + DATA_EVENT, Q[head, Q_DONE], P, H, D, now)


@kernel
def _accept(ch, now, K, B, R, C, Q, N):
    """Take the offered request in if there is room for it; returns it, or -1, and whether writes answer it."""
    request = C[ch, OFFERED]
    accepted, forwarded = -1, False
    if request >= 0 and C[ch, OFFER_AT] <= now:
        bank = Q[request, Q_BANK]
        write = Q[request, Q_WRITE]
        size = K[BUFFER_SIZE]
        if K[BUFFER] == BANKWISE:  # DRAMSys looks at the bank of the request before
            room = B[C[ch, LAST_BANK] if K[COMPAT] == 1 else bank, WAITING] < size
        elif K[BUFFER] == SHARED:
            room = C[ch, READS] + C[ch, WRITES] < size
        elif K[COMPAT] == 1:  # DRAMSys looks at both
            room = C[ch, READS] < size and C[ch, WRITES] < size
        else:
            room = (C[ch, WRITES] if write == 1 else C[ch, READS]) < size
        if room:
            accepted = request
            if C[ch, HELD] == 0 and ch == 0:
                N[IDLE] += now - C[ch, IDLE_SINCE]
            C[ch, HELD] += 1
            C[ch, OFFERED] = -1
            C[ch, CHANGED] = 1
            Q[request, Q_HELD] = -1
            if K[WRITE_HIGH] > 0:
                i = B[bank, HEAD]
                while i >= 0:
                    if Q[i, Q_LINE] == Q[request, Q_LINE] and Q[i, Q_WRITE] != write:
                        if write == 1:
                            Q[request, Q_HELD] = i  # not before the youngest older read of its line
                        else:
                            forwarded = True  # the data are in the write buffer
                    i = Q[i, Q_NEXT]
        if room and not forwarded:
            rank = B[bank, BANK_RANK]
            if R[rank, PAYLOADS] == 0:
                R[rank, PD_IDLE] = 0
                R[rank, PD_SELF] = 0
                R[rank, PD_ENTER] = 0
                if R[rank, PD_STATE] != PD_RUNNING:
                    R[rank, PD_EXIT] = 1
            R[rank, PAYLOADS] += 1
            Q[request, Q_NEXT] = -1
            Q[request, Q_PREVIOUS] = B[bank, TAIL]
            if B[bank, HEAD] < 0:
                B[bank, HEAD] = request
            else:
                Q[B[bank, TAIL], Q_NEXT] = request
            B[bank, TAIL] = request
            B[bank, WAITING] += 1
            B[bank, STALE] = 2  # must be prepared before this evaluation looks at it
            C[ch, LAST_BANK] = bank
            if write == 1:
                C[ch, WRITES] += 1
                C[ch, ELIGIBLE] += 1 if Q[request, Q_HELD] < 0 else 0
            else:
                C[ch, READS] += 1
    return accepted, forwarded


@kernel
def _remove(ch, bank, rank, request, K, B, R, C, Q):
    """A column command was issued for the request: it leaves the buffer."""
    after, before = Q[request, Q_NEXT], Q[request, Q_PREVIOUS]
    if before < 0:
        B[bank, HEAD] = after
    else:
        Q[before, Q_NEXT] = after
    if after < 0:
        B[bank, TAIL] = before
    else:
        Q[after, Q_PREVIOUS] = before
    B[bank, WAITING] -= 1
    R[rank, PAYLOADS] -= 1
    C[ch, NEXT_COLUMN] += 1
    write = Q[request, Q_WRITE]
    if write == 1:
        C[ch, WRITES] -= 1
        C[ch, ELIGIBLE] -= 1
    else:
        C[ch, READS] -= 1
        if K[WRITE_HIGH] > 0:
            i = after
            while i >= 0:
                if Q[i, Q_HELD] == request:
                    Q[i, Q_HELD] = -1
                    C[ch, ELIGIBLE] += 1
                i = Q[i, Q_NEXT]
    if C[ch, LAST_WRITE] != write:
        C[ch, LAST_WRITE] = write
        if K[SCHEDULER] == FR_FCFS_GRP:
            per_channel = K[RANKS] * K[GROUPS] * K[BANKS]
            for b in range(ch * per_channel, (ch + 1) * per_channel):
                B[b, STALE] = 1


@kernel
def _scan(ch, now, held_back, threshold, K, B, R, C, Q, X, T, picked):  # fmt: skip
    """All candidates of a channel: which one the command multiplexer takes, and when the earliest is legal.

    A candidate's order is (time + length, sequence number), row and column commands apart where they have buses
    of their own. Sequence numbers: 0 refresh, then requests, power-down last. ``picked`` receives the choice.
    Banks at least as stale as ``threshold`` are prepared on the way. Orders are one number, (time - now + length)
    << 24 + sequence: comparing it leaves nothing to mispredict.

    Returns:
        The earliest time; not ``now`` if ``held_back`` (what is ready now waits for something else).
    """
    per_rank = K[GROUPS] * K[BANKS]
    row_order, row_bank, row_time, col_order, col_bank, col_time = NEVER, -1, NEVER, NEVER, -1, NEVER
    wake, candidates = NEVER, 0
    row_bus = max(now, C[ch, BUS_FREE])
    col_bus = max(now, C[ch, COLUMN_BUS_FREE]) if K[TWO_BUSES] == 1 else row_bus
    ignored = now if held_back else -1
    any_sequence = K[COMMAND_MUX] == OLDEST
    for rank in range(ch * K[RANKS], (ch + 1) * K[RANKS]):
        rank_row = R[rank, RANK_ROW]
        window = R[rank, FAW_0 + R[rank, FAW_AT]] + T[FAW_GAP, ACT]
        # A rank's power-down command goes before all others; they still count for when to look again.
        command = R[rank, PD_COMMAND]
        sleeps = command != NOP
        if sleeps:
            candidates += 1
            t = max(row_bus, X[rank_row, command])
            wake = min(wake, t if t != ignored else NEVER)
            order = ((t - now + T[LENGTH, command]) << SEQUENCE_BITS) + POWER_DOWN_SEQUENCE
            if order < row_order:
                row_order, row_time, row_bank = order, t, -2 - rank
        command = R[rank, REF_COMMAND]
        if command != NOP:
            t = max(row_bus, X[rank_row, command])
            if command == PRE or command == REFB or command == REFSB or command == PRESB:
                step = K[BANKS] if command == REFSB or command == PRESB else per_rank
                for b in range(R[rank, REF_BANK], (rank + 1) * per_rank, step):
                    t = max(t, max(X[b, command], X[B[b, BANK_GROUP], command]))
                if T[FAW_GAP, command] > NO_RULE:
                    t = max(t, window - T[FAW_GAP, ACT] + T[FAW_GAP, command])
            wake = min(wake, t if t != ignored else NEVER)
            order = (t - now + T[LENGTH, command]) << SEQUENCE_BITS
            if not sleeps:
                candidates += 1
                if order < row_order:
                    row_order, row_time, row_bank = order, t, -2 - rank
        for bank in range(rank * per_rank, (rank + 1) * per_rank):
            if B[bank, STALE] >= threshold:
                _choose(bank, K, B, R, C, Q)
            command = B[bank, COMMAND]
            if command != NOP:
                column = command < ACT
                t = col_bus if column else row_bus
                t = max(max(t, X[bank, command]), X[rank_row, command])
                t = max(t, X[B[bank, BANK_GROUP], command])
                t = max(t, window if command == ACT else 0)
                wake = min(wake, t if t != ignored else NEVER)
                sequence = B[bank, PICK_SEQUENCE]
                order = NEVER if sleeps else ((t - now + T[LENGTH, command]) << SEQUENCE_BITS) + sequence + 1
                row = NEVER if column else order
                col = order if column and (any_sequence or sequence == C[ch, NEXT_COLUMN]) else NEVER
                candidates += 0 if sleeps else 1
                if row < row_order:
                    row_order, row_time, row_bank = row, t, bank
                if col < col_order:
                    col_order, col_time, col_bank = col, t, bank
    mask = (1 << SEQUENCE_BITS) - 1
    if K[TWO_BUSES] == 1:  # between the two buses, lengths do not count
        row_order = row_order if row_time == NEVER else ((row_time - now) << SEQUENCE_BITS) + (row_order & mask)
        col_order = col_order if col_time == NEVER else ((col_time - now) << SEQUENCE_BITS) + (col_order & mask)
    if col_order < row_order:
        row_order, row_time, row_bank = col_order, col_time, col_bank
    picked[ch, CHOICE_TIME] = row_time
    picked[ch, CHOICE_KEY] = NEVER if row_order == NEVER else now + (row_order >> SEQUENCE_BITS)
    picked[ch, CHOICE_ID] = row_order & mask
    picked[ch, CANDIDATES] = candidates
    if row_bank >= 0:
        picked[ch, CHOICE_COMMAND] = B[row_bank, COMMAND]
        picked[ch, CHOICE_BANK] = row_bank
        picked[ch, CHOICE_REQUEST] = B[row_bank, PICK]
        picked[ch, CHOICE_RANK] = B[row_bank, BANK_RANK]
    elif row_bank < -1:
        rank = -2 - row_bank
        sleeps = R[rank, PD_COMMAND] != NOP
        picked[ch, CHOICE_COMMAND] = R[rank, PD_COMMAND] if sleeps else R[rank, REF_COMMAND]
        picked[ch, CHOICE_BANK] = rank * per_rank if sleeps else R[rank, REF_BANK]
        picked[ch, CHOICE_REQUEST] = -1
        picked[ch, CHOICE_RANK] = rank
    return wake


@kernel
def _reconsider(bank, now, K, B, R, C, Q, X, T, picked):
    """After a request for ``bank`` came in and nothing else happened: its candidate beside the others' choice.

    Returns:
        When the bank's command is legal.
    """
    rank = B[bank, BANK_RANK]
    ch = R[rank, RANK_CHANNEL]
    before = B[bank, COMMAND]
    _choose(bank, K, B, R, C, Q)
    command = B[bank, COMMAND]
    t = NEVER
    if command != NOP:
        bus = C[ch, COLUMN_BUS_FREE] if K[TWO_BUSES] == 1 and command < ACT else C[ch, BUS_FREE]
        t = max(max(now, bus), max(X[bank, command], X[R[rank, RANK_ROW], command]))
        t = max(t, X[B[bank, BANK_GROUP], command])
        if command == ACT:
            t = max(t, R[rank, FAW_0 + R[rank, FAW_AT]] + T[FAW_GAP, ACT])
    if K[TWO_BUSES] == 1 or (before != NOP and picked[ch, CHOICE_BANK] == bank):
        picked[ch, CHOICE_HOLDS] = 0  # it may be no choice any more
    elif command != NOP:
        picked[ch, CANDIDATES] += 1 if before == NOP else 0
        request = B[bank, PICK]
        sequence = Q[request, Q_SEQUENCE]
        key = t + T[LENGTH, command]
        before_others = key < picked[ch, CHOICE_KEY]
        if key == picked[ch, CHOICE_KEY]:
            before_others = sequence + 1 < picked[ch, CHOICE_ID]
        if before_others and (command >= ACT or K[COMMAND_MUX] == OLDEST or sequence == C[ch, NEXT_COLUMN]):
            picked[ch, CHOICE_TIME] = t
            picked[ch, CHOICE_COMMAND] = command
            picked[ch, CHOICE_BANK] = bank
            picked[ch, CHOICE_REQUEST] = request
            picked[ch, CHOICE_RANK] = rank
            picked[ch, CHOICE_KEY] = key
            picked[ch, CHOICE_ID] = sequence + 1
    return t


@kernel
def _evaluate(ch, now, K, B, R, C, Q, E, N, X, T, in_channel, offset, P, H, D, M, out, picked, record):  # fmt: skip
    """One evaluation of a controller, steps (1) to (6) of the module's text.

    Messages go to ``M[out]`` and after; returns the next free place.
    """
    late = C[ch, RELEASED_AT] == now  # (1) one response ends, the next starts
    idle = C[ch, RESPONSE] < 0
    if late and not idle:
        C[ch, RESPONSE] = -1
        N[SERVED] += 1
        C[ch, HELD] -= 1
        idle = C[ch, HELD] > 0
        if not idle:
            C[ch, IDLE_SINCE] = now
    if idle:
        out = _start_response(ch, now, late, K, C, Q, P, H, D, in_channel, offset, M, out)
    managed = K[POWER_DOWN] != NO_POWER_DOWN
    first, last = ch * K[RANKS], (ch + 1) * K[RANKS]
    per_channel = K[RANKS] * K[GROUPS] * K[BANKS]
    held_back, answered = False, False
    step = 0
    while step < 2:  # first (2) to (5), then (6): what comes next
        accepted, forwarded = _accept(ch, now, K, B, R, C, Q, N)  # in (6): into the entry just freed
        if accepted >= 0:
            M[out] = accepted * 8 + TO_ARBITER_ACCEPTED
            out += 1
            _notify(N_EVENT * K[CHANNELS], now, P, H, D, now)
            if forwarded:
                N[FORWARDED] += 1
                Q[accepted, Q_CLASS] = 3
                _finish(ch, accepted, now + K[CYCLE], K, C, Q)
                _await_response(ch, now, K, C, Q, P, H, D, in_channel, offset)
        if answered:
            _await_response(ch, now, K, C, Q, P, H, D, in_channel, offset)
        if K[WRITE_HIGH] > 0:
            _drain_mode(ch, K, B, C)
        quiet = step == 0 and C[ch, PENDING] == 0 and not managed
        if quiet and C[ch, CHANGED] == 1 and now < C[ch, NEXT_AT] and picked[ch, CHOICE_HOLDS] == 1 and accepted >= 0:
            # nothing was ready before: only the bank of the new request can be ready now
            bank = Q[accepted, Q_BANK]
            t = NEVER
            if not forwarded:
                t = _reconsider(bank, now, K, B, R, C, Q, X, T, picked)  # fmt: skip
            if t > now:
                C[ch, CHANGED] = 0
                C[ch, NEXT_AT] = min(t, C[ch, NEXT_AT])
            else:
                picked[ch, CHOICE_HOLDS] = 0
        if quiet and C[ch, CHANGED] == 0 and now < C[ch, NEXT_AT]:
            if C[ch, NEXT_AT] < NEVER:
                _notify(N_EVENT * ch + COMMAND_EVENT, C[ch, NEXT_AT], P, H, D, now)
            step = 2
        else:
            holds = quiet and C[ch, CHANGED] == 0 and picked[ch, CHOICE_HOLDS] == 1 and now < C[ch, REFRESH_AT]
            wake = NEVER
            if not holds:
                # DRAMSys does not see before (6) that a refresh manager has blocked a bank
                threshold = 2 if step == 0 and K[COMPAT] == 1 else 1
                wake = C[ch, REFRESH_AT]
                if managed or C[ch, PENDING] == 1 or now >= wake:
                    for bank in range(ch * per_channel, (ch + 1) * per_channel):
                        if B[bank, STALE] >= threshold:
                            _choose(bank, K, B, R, C, Q)
                    wake = NEVER
                    C[ch, PENDING] = 0
                    for rank in range(first, last):
                        if K[REFRESH] != NO_REFRESH:
                            wake = min(wake, _refresh_start(rank, now, K, B, R))
                            if R[rank, REF_COMMAND] != NOP:
                                C[ch, PENDING] = 1
                        if managed:
                            _power_down_start(rank, R)
                    C[ch, REFRESH_AT] = wake
                    threshold = 3  # what a manager has just made stale waits for the next time
                soon = _scan(ch, now, held_back, threshold, K, B, R, C, Q, X, T, picked)  # fmt: skip
                wake = min(wake, soon)
            if step == 1:
                C[ch, CHANGED] = 0
                C[ch, NEXT_AT] = wake
                picked[ch, CHOICE_HOLDS] = 0 if held_back or managed or C[ch, PENDING] == 1 else 1
                if wake < NEVER:
                    _notify(N_EVENT * ch + COMMAND_EVENT, wake, P, H, D, now)
            elif picked[ch, CHOICE_TIME] != now:
                held_back = picked[ch, CANDIDATES] > 0
            else:
                command, bank = picked[ch, CHOICE_COMMAND], picked[ch, CHOICE_BANK]
                request, rank = picked[ch, CHOICE_REQUEST], picked[ch, CHOICE_RANK]
                if N[N_COMMANDS] < K[RECORD]:
                    at = N[N_COMMANDS]
                    record[at, REC_CYCLE] = now // K[CYCLE]
                    record[at, REC_COMMAND], record[at, REC_BANK] = command, bank
                    record[at, REC_ROW] = Q[request, Q_ROW] if request >= 0 else -1
                    record[at, REC_REQUEST] = request
                _account(command, bank, rank, now, K, B, R, E, N)
                if request >= 0 and command >= ACT:
                    Q[request, Q_CLASS] = 2 if command == PRE else max(Q[request, Q_CLASS], 1)
                _banks_issued(command, bank, rank, request, now, K, B, R, Q)
                _refresh_issued(command, rank, now, K, R)
                _power_down_issued(command, rank, K, B, R)
                _constrain(command, bank, rank, now, K, B, R, C, X, T)  # fmt: skip
                if command < ACT:
                    _remove(ch, bank, rank, request, K, B, R, C, Q)
                    N[ROW_HITS + Q[request, Q_CLASS]] += 1
                    end = K[READ_END] if command == RD or command == RDA else K[WRITE_END]
                    _finish(ch, request, now + end, K, C, Q)
                    answered = True
                if R[rank, PAYLOADS] == 0:
                    R[rank, PD_IDLE] = 1
                    if R[rank, PD_STATE] == PD_RUNNING:
                        R[rank, PD_ENTER] = 1
        step += 1
    return out


@kernel
def _next_send(now, request, K, Q):
    """When the trace player, free at ``now``, sends its next request of an open-loop trace."""
    period = K[CYCLE] * K[TICK_PS]
    edge = (now * K[TICK_PS] // K[PLAYER_PS] + 1) * K[PLAYER_PS]
    edge = (edge + period - 1) // period * K[CYCLE]
    return max(edge, Q[request, Q_ARRIVE])


@kernel
def _initialise(n, K, Q, B, R, C, E, A, P, H, offset):
    """The state before the first cycle."""
    per_rank = K[GROUPS] * K[BANKS]
    ranks = K[CHANNELS] * K[RANKS]
    for domain in range(K[CHANNELS] if K[COMPAT] == 1 else ranks):
        E[domain, E_LAST] = -1
    for bank in range(ranks * per_rank):
        for field in (ROW, PICK, CURRENT, HEAD, TAIL):
            B[bank, field] = -1
        B[bank, BANK_RANK] = bank // per_rank
        B[bank, BANK_GROUP] = ranks * per_rank + bank // K[BANKS]
    for rank in range(ranks):
        within = rank % K[RANKS]
        R[rank, RANK_CHANNEL] = rank // K[RANKS]
        R[rank, RANK_ROW] = ranks * (per_rank + K[GROUPS]) + rank
        interval = K[INTERVAL] if K[REFRESH] == ALL_BANK else K[UNIT_INTERVAL]
        reverse, bits = 0, K[RANKS] >> 1
        while within > 0:  # ranks refresh in bit-reversed order, spread over the interval
            reverse += bits * (within & 1)
            within >>= 1
            bits >>= 1
        # DRAMSys offsets by whole fractions of the interval, rounded up to the clock
        R[rank, REF_DUE] = NEVER
        if K[REFRESH] != NO_REFRESH:
            R[rank, REF_DUE] = interval - reverse * interval // K[RANKS]
        units = 1 if K[REFRESH] == ALL_BANK else per_rank if K[REFRESH] == PER_BANK else K[BANKS]
        R[rank, REF_LEFT] = (1 << units) - 1
        R[rank, PD_IDLE] = 1
        R[rank, PD_ENTER] = 1
        for i in range(4):
            R[rank, FAW_0 + i] = -NEVER
    for ch in range(K[CHANNELS]):
        C[ch, RESPOND_AT] = NEVER
        for field in (OFFERED, RESPONSE, READY_HEAD, RELEASED_AT, END_REQUEST_AT):
            C[ch, field] = -1
        C[ch, BUS_FREE] = K[FIRST_COMMAND]
        C[ch, COLUMN_BUS_FREE] = K[FIRST_COMMAND]
        C[ch, CHANGED] = 1
        C[ch, LAST_BANK] = ch * K[RANKS] * per_rank
        C[ch, QUEUE_HEAD] = offset[ch]
        C[ch, QUEUE_TAIL] = offset[ch]
    for field in (SEND_AT, DONE_AT, DELIVER_AT):
        A[field] = NEVER
    for field in (UNANSWERED, DELIVERED_AT):
        A[field] = -1
    A[OUTSTANDING] = 1
    P[0] = N_EVENT * K[CHANNELS] + 2
    for event in range(P[0]):
        P[1 + event] = NEVER
    H[0] = 0 if K[COMPAT] == 1 else -1
    for i in range(n):
        Q[i, Q_DONE] = -1
        Q[i, Q_HELD] = -1
        Q[i, Q_CLASS] = 0


@kernel
def _player(now, n, K, Q, A, P, H, D, M, inbox, waiting, out):
    """The trace player: sends the next request when one is accepted, receives responses; handles its messages."""
    to_arbiter = N_EVENT * K[CHANNELS]
    for m in range(inbox, inbox + waiting):
        what, request = M[m] & 7, M[m] >> 3
        if what == TO_PLAYER_ACCEPTED:
            Q[request, Q_ACCEPTED] = now
            A[SENDING] = request + 1
            if request + 1 < n:
                if K[WINDOW] == 0:
                    A[SEND_AT] = _next_send(now, request + 1, K, Q)
                elif A[OUTSTANDING] < K[WINDOW]:
                    A[OUTSTANDING] += 1
                    A[SEND_AT] = now + K[CYCLE]
                else:
                    A[PAUSED] = 1
        elif what == TO_PLAYER_RESPONSE:
            A[PROGRESS] = now
            A[RECEIVED] += 1
            Q[request, Q_FINISHED] = now
            late = now % K[CYCLE]
            if late > 0:  # the arbiter works on clock edges
                A[DONE_AT] = now - late + K[CYCLE]
                A[DONE_REQUEST] = request
                _notify(to_arbiter, A[DONE_AT], P, H, D, now)
            else:
                M[out] = request * 8 + TO_ARBITER_DONE
                out += 1
                _notify(to_arbiter, now, P, H, D, now)
            if A[PAUSED] == 1:
                A[PAUSED] = 0
                A[SEND_AT] = now + max(K[CYCLE], K[THINK])
            else:
                A[OUTSTANDING] -= 1
        if A[SEND_AT] < NEVER and A[SENDING] < n:
            Q[A[SENDING], Q_SENT] = A[SEND_AT]
            _notify(to_arbiter, A[SEND_AT], P, H, D, now)
    if A[DELIVER_AT] < NEVER:
        _notify(to_arbiter + 1, A[DELIVER_AT], P, H, D, now)
    return out


@kernel
def _arbiter(now, n, K, Q, C, A, P, H, D, in_channel, arrived, waits, M, inbox, waiting, out):
    """The arbiter: requests to the channels, responses to the trace player; handles its messages."""
    simple = K[ARBITER] == ARBITER_SIMPLE
    to_arbiter = N_EVENT * K[CHANNELS]
    to_player = to_arbiter + 1
    for m in range(inbox, inbox + waiting):
        what, request = M[m] & 7, M[m] >> 3
        ch = Q[request, Q_CHANNEL]
        accepted, feed, respond = -1, -1, False  # tell the player; offer a queued request to a channel; deliver
        if what == TO_ARBITER_REQUEST:
            A[PROGRESS] = now
            if simple:
                C[ch, OFFERED] = request
                C[ch, OFFER_AT] = now
                _notify(N_EVENT * ch + OFFER_EVENT, now, P, H, D, now)
            elif A[ACTIVE_REQUESTS] < K[MAX_ACTIVE]:
                A[ACTIVE_REQUESTS] += 1
                accepted = request
            else:
                A[UNANSWERED] = request
        elif what == TO_ARBITER_ACCEPTED:
            A[PROGRESS] = now
            if simple:
                M[out] = request * 8 + TO_PLAYER_ACCEPTED
                out += 1
                _notify(to_player, now, P, H, D, now)
            else:
                C[ch, END_REQUEST_AT] = now
                C[ch, BUSY] = 0
                feed = ch
        elif what == TO_ARBITER_RESPONSE:
            if not simple:  # the controller is free at once
                C[ch, RELEASED_AT] = now
                _notify(N_EVENT * ch + RELEASE_EVENT, now, P, H, D, now)
            if K[ARBITER] == ARBITER_REORDER:
                waits[request] = 1
            else:
                arrived[A[ARRIVED_TAIL]] = request
                A[ARRIVED_TAIL] += 1
            respond = A[DELIVERING] == 0
        elif what == TO_ARBITER_DONE:
            A[DELIVERING] = 0
            respond = True
            if simple:
                C[ch, RELEASED_AT] = now
                _notify(N_EVENT * ch + RELEASE_EVENT, now, P, H, D, now)
            else:
                A[DELIVERED_AT] = now
                if A[UNANSWERED] >= 0:
                    accepted = A[UNANSWERED]
                    A[UNANSWERED] = -1
                else:
                    A[ACTIVE_REQUESTS] -= 1
        if accepted >= 0:
            M[out] = accepted * 8 + TO_PLAYER_ACCEPTED
            out += 1
            _notify(to_player, now, P, H, D, now)
            feed = Q[accepted, Q_CHANNEL]
            C[feed, QUEUE_TAIL] += 1
        if feed >= 0 and C[feed, BUSY] == 0 and C[feed, QUEUE_HEAD] < C[feed, QUEUE_TAIL]:
            C[feed, BUSY] = 1
            C[feed, OFFERED] = in_channel[C[feed, QUEUE_HEAD]]
            C[feed, QUEUE_HEAD] += 1
            C[feed, OFFER_AT] = now + K[CYCLE] if C[feed, END_REQUEST_AT] == now else now  # one request a cycle
            _notify(N_EVENT * feed + OFFER_EVENT, C[feed, OFFER_AT], P, H, D, now)
        if respond:
            following = -1
            if K[ARBITER] == ARBITER_REORDER:
                if A[TO_RETURN] < n and waits[A[TO_RETURN]] == 1:
                    following = A[TO_RETURN]
                    A[TO_RETURN] += 1
            elif A[ARRIVED_HEAD] < A[ARRIVED_TAIL]:
                following = arrived[A[ARRIVED_HEAD]]
                A[ARRIVED_HEAD] += 1
            if following >= 0:
                A[DELIVERING] = 1
                if what == TO_ARBITER_DONE or A[DELIVERED_AT] == now:  # one response a cycle
                    A[DELIVER_AT] = now + K[CYCLE]
                    A[DELIVER_REQUEST] = following
                    _notify(to_player, A[DELIVER_AT], P, H, D, now)
                else:
                    M[out] = following * 8 + TO_PLAYER_RESPONSE
                    out += 1
                    _notify(to_player, now, P, H, D, now)
    timed = min(A[SEND_AT], A[DONE_AT])
    for ch in range(K[CHANNELS]):
        timed = min(timed, C[ch, RESPOND_AT])
    if timed < NEVER:
        _notify(to_arbiter, timed, P, H, D, now)
    return out


@kernel
def _due_messages(now, K, C, A, M, inbox):
    """The messages whose time has come, into the inbox; returns their number."""
    waiting = 0
    if A[SEND_AT] == now:
        M[inbox + waiting] = A[SENDING] * 8 + TO_ARBITER_REQUEST
        waiting += 1
        A[SEND_AT] = NEVER
    if A[DELIVER_AT] == now:
        M[inbox + waiting] = A[DELIVER_REQUEST] * 8 + TO_PLAYER_RESPONSE
        waiting += 1
        A[DELIVER_AT] = NEVER
    if A[DONE_AT] == now:
        M[inbox + waiting] = A[DONE_REQUEST] * 8 + TO_ARBITER_DONE
        waiting += 1
        A[DONE_AT] = NEVER
    for ch in range(K[CHANNELS]):
        if C[ch, RESPOND_AT] == now:
            M[inbox + waiting] = C[ch, RESPONSE] * 8 + TO_ARBITER_RESPONSE
            waiting += 1
            C[ch, RESPOND_AT] = NEVER
    return waiting


@kernel
def _play(
    n, K, Q, B, R, C, E, A, N, X, T, in_channel, offset, P, H, D, M, order, queued, picked, arrived, waits, record
):  # fmt: skip
    """The event loop."""
    channels = K[CHANNELS]
    inbox, outbox, waiting = 0, 0 if H[0] < 0 else BOX, 0  # of M: read in this round, filled for the next
    now = 0
    for ch in range(channels):
        _notify(N_EVENT * ch + COMMAND_EVENT, 0, P, H, D, 0)
    started = False
    while A[RECEIVED] < n:
        first_round = started
        if started:
            now = _next_time(P, H)
            held = 0
            for ch in range(channels):
                held += C[ch, HELD]
            if now >= NEVER or (held > 0 and now - A[PROGRESS] > K[PATIENCE]):
                N[STATUS] = 1
                break
            waiting = _due_messages(now, K, C, A, M, inbox)
            if H[0] < 0:  # one box: what is due, then what is sent
                outbox = inbox + waiting
        again = True
        while again:
            out = outbox
            found = _runnable(now, first_round, K, P, H, D, order, queued)
            first_round = False
            if not started:  # the trace player's first request, announced before controllers first look
                started = True
                A[SEND_AT] = Q[0, Q_ARRIVE] if K[WINDOW] == 0 else 0
                Q[0, Q_SENT] = A[SEND_AT]
                _notify(N_EVENT * channels, A[SEND_AT], P, H, D, now)
                if A[SEND_AT] == now:
                    M[out] = TO_ARBITER_REQUEST
                    out += 1
                    A[SEND_AT] = NEVER
            for place in range(found):
                process = order[place]
                if process < channels:
                    columns = C[process, NEXT_COLUMN]
                    out = _evaluate(
                        process, now, K, B, R, C, Q, E, N, X, T, in_channel, offset, P, H, D, M, out, picked, record
                    )  # fmt: skip
                    if C[process, NEXT_COLUMN] != columns:
                        A[PROGRESS] = now
                elif process == channels:
                    out = _arbiter(
                        now, n, K, Q, C, A, P, H, D, in_channel, arrived, waits, M, inbox, waiting, out,
                    )  # fmt: skip
                else:
                    out = _player(
                        now, n, K, Q, A, P, H, D, M, inbox, waiting, out,
                    )  # fmt: skip
            if H[0] >= 0:
                inbox, outbox, waiting = outbox, inbox, out - outbox
            else:  # all messages of this round, and those that follow from them
                begin, end = outbox - waiting, out
                while begin < end:
                    out = _arbiter(
                        now, n, K, Q, C, A, P, H, D, in_channel, arrived, waits, M, begin, end - begin, out
                    )  # fmt: skip
                    out = _player(now, n, K, Q, A, P, H, D, M, begin, end - begin, out)
                    begin, end = end, out
                waiting = 0
            again = D[0] > 0 and A[RECEIVED] < n
    N[TIME] = now
    domains = channels if K[COMPAT] == 1 else channels * K[RANKS]
    for domain in range(domains):
        end = E[domain, E_END] if K[COMPAT] == 1 else now
        N[WINDOW_END] += end
        if E[domain, E_DOWN] != PD_RUNNING:
            N[ACTIVE + E[domain, E_DOWN]] += end - E[domain, E_SINCE]
        else:
            until = end if E[domain, E_OPEN] > 0 else min(end, E[domain, E_UNTIL])
            N[ACTIVE] += until - E[domain, E_FROM]


@kernel
def run(
    K, Q, in_channel, offset, T, N, record, banks, ranks, channels, domains, player, earliest, pending, timed,
    at_once, messages, order, queued, picked, arrived, waits,
):  # fmt: skip
    """Play one trace. All arrays are C-contiguous int64 and stay the caller's; ``play`` makes the scratch ones.

    Args:
        K: (N_KNOB,) knobs and constants.
        Q: (n, N_REQUEST) requests, first seven columns filled in; results in the others.
        in_channel, offset: requests by channel: those of channel c are ``in_channel[offset[c]:offset[c + 1]]``.
        T: (N_TABLE, N_COMMAND) timing rules: least ticks from the first command (row) to the second (column) on the
            same bank, group, rank, on another rank of the channel; NO_RULE where there is none. Then ticks on the
            command bus, and what counts for the four-activate window and what waits for it, with offsets.
        N: (N_COUNTER,), zeroed; receives the counters.
        record: (K[RECORD], N_RECORD); receives the first commands.
        banks and so on: scratch, zeroed.
    """
    k, q, offsets = borrow(K, 0), borrow(Q, N_REQUEST), borrow(offset, 0)
    b, r, c, e = borrow(banks, N_BANK), borrow(ranks, N_RANK), borrow(channels, N_CHANNEL), borrow(domains, N_ENERGY)
    a, p, h = borrow(player, 0), borrow(pending, 0), borrow(timed, 0)
    _initialise(len(Q), k, q, b, r, c, e, a, p, h, offsets)
    _play(
        len(Q), k, q, b, r, c, e, a, borrow(N, 0), borrow(earliest, N_COMMAND), borrow(T, N_COMMAND),
        borrow(in_channel, 0), offsets, p, h, borrow(at_once, 0), borrow(messages, 0), borrow(order, 0),
        borrow(queued, 0), borrow(picked, N_CHOICE), borrow(arrived, 0), borrow(waits, 0), borrow(record, N_RECORD),
    )  # fmt: skip


def play(K: Ints, Q: Ints, in_channel: Ints, offset: Ints, T: Ints, record: Ints) -> Ints:
    """Play one trace: ``run`` with fresh scratch memory.

    Returns:
        (N_COUNTER,) counters; results per request are in Q.
    """
    channels = int(K[CHANNELS])
    ranks = channels * int(K[RANKS])
    groups = ranks * int(K[GROUPS])
    banks = groups * int(K[BANKS])
    counters = np.zeros(N_COUNTER, np.int64)
    events = N_EVENT * channels + 2
    shapes = (
        *((banks, N_BANK), (ranks, N_RANK), (channels, N_CHANNEL), (ranks, N_ENERGY), N_PLAYER),
        *((banks + groups + ranks, N_COMMAND), 1 + 2 * events, HEAP if K[COMPAT] else 1, 1 + events, 2 * BOX),
        *(channels + 2, channels + 2, (channels, N_CHOICE), len(Q) + 1, len(Q) + 1),
    )
    assert BOX >= 8 + 4 * channels
    assert len(Q) < POWER_DOWN_SEQUENCE, "too many requests for one run"
    run(*(K, Q, in_channel, offset, T, counters, record, *(np.zeros(shape, np.int64) for shape in shapes)))
    return counters
