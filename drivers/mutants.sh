#!/bin/bash
# Takes each defence of the driver out, one at a time, and runs the test that has to notice.
#
# Works on a copy of the tree in target/mutants. A few minutes; not part of `make test`. With
# LADDER=1 the mutants that a test of qemu/hostile notices too are also built into a kernel, which
# that test then boots: a quarter of an hour.
# `drivers/mutants.sh WORD` runs only the mutants whose lines contain WORD; VERBOSE=1 shows what
# the tests say about one that survived.
set -uo pipefail
cd "$(dirname "$0")/.."

only=${1-}
tree=$PWD/target/mutants/tree
export CARGO_TARGET_DIR=$PWD/target/mutants/build
caught=0
survived=0

rm -rf "$tree"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$tree"
cd "$tree" || exit 2

# tests TARGET TEST: runs the tests of that name. TARGET: lib, or a file of drivers/tests.
tests() {
    local target=(--test "$1")
    [ "$1" = lib ] && target=(--lib)
    # A mutant may well go round in a circle.
    timeout 300 cargo test -q -p quartz-drivers "${target[@]}" -- "$2" 2>&1
}

# boots TEST: runs the tests of the recovery ladder of that name on a kernel built from the tree.
boots() {
    RUSTC_BOOTSTRAP=1 cargo kernel -q 2>&1 &&
        QUARTZ_KERNEL=$CARGO_TARGET_DIR/x86_64-quartz/kernel/quartz-unikernel \
            timeout 300 cargo test -q -p quartz-hostile --test ladder -- "$1" 2>&1
}

# fails TEST OUTPUT: whether cargo's OUTPUT lists TEST among the failures.
fails() {
    grep -Eq "^    ([a-z_]+::)*$1\$" <<<"$2"
}

# mutant DEFENCE FILE BEFORE AFTER TARGET TEST [SAYS [BOOT]]: with BEFORE, which FILE has once,
# replaced by AFTER, the test has to fail, saying SAYS; and on the real kernel the test BOOT.
mutant() {
    local defence=$1 file=drivers/src/$2 before=$3 after=$4 target=$5 test=$6 says=${7-} boot=${8-} out
    if [[ "$*" != *"$only"* ]]; then
        return
    fi
    if ! grep -qF "| $defence | \`$test\`" docs/ring.md; then
        printf '%-58s | NOT IN docs/ring.md\n' "$defence"
        survived=$((survived + 1))
        return
    fi
    cp "$file" original
    if ! BEFORE=$before AFTER=$after perl -0777 -pi -e \
        '$n = s/\Q$ENV{BEFORE}\E/$ENV{AFTER}/g; END { $? = $n != 1 }' "$file"; then
        printf '%-58s | CANNOT BE TAKEN OUT: %s has changed\n' "$defence" "$file"
        survived=$((survived + 1))
        cp original "$file"
        return
    fi
    out=$(tests "$target" "$test")
    if grep -q '^error' <<<"$(grep -v 'test failed' <<<"$out")"; then
        printf '%-58s | DOES NOT COMPILE\n' "$defence"
        survived=$((survived + 1))
        [ -n "${VERBOSE-}" ] && printf '%s\n' "$out"
    elif fails "$test" "$out" && grep -qF -- "$says" <<<"$out"; then
        caught=$((caught + 1))
        printf '%-58s | %s%s\n' "$defence" "$test" "${says:+, \"$says\"}"
    else
        survived=$((survived + 1))
        printf '%-58s | SURVIVED %s\n' "$defence" "$test"
        [ -n "${VERBOSE-}" ] && printf '%s\n' "$out"
    fi
    if [ -n "$boot" ] && [ -n "${LADDER-}" ]; then
        out=$(boots "$boot")
        if fails "$boot" "$out"; then
            caught=$((caught + 1))
            printf '%-58s | %s, on the real kernel\n' "$defence" "$boot"
        else
            survived=$((survived + 1))
            printf '%-58s | SURVIVED %s, on the real kernel\n' "$defence" "$boot"
            [ -n "${VERBOSE-}" ] && printf '%s\n' "$out"
        fi
    fi
    cp original "$file"
}

# Without a mutant every test passes; else a failure would mean nothing.
if ! out=$(timeout 600 cargo test -q -p quartz-drivers 2>&1); then
    printf '%s\nmutants: the tests fail without any\n' "$out" >&2
    exit 2
fi

# Fences and looks.
mutant 'publish: the fence' notify.rs \
    '    wanted() || {
        shared.full_fence();' '    wanted() || {' \
    lib no_publication_is_slept_through
mutant 'publish: the wish is read behind the fence' notify.rs \
    '    wanted() || {
        shared.full_fence();
        wanted()' '    wanted() || {
        shared.full_fence();
        false' \
    lib no_publication_is_slept_through
mutant 'arm: the fence' notify.rs \
    '    shared.load_used_idx() != taken || {
        shared.full_fence();' '    shared.load_used_idx() != taken || {' \
    lib no_used_entry_is_slept_through
mutant 'arm: the look behind the fence' notify.rs \
    '        shared.full_fence();
        shared.load_used_idx() != taken' '        shared.full_fence();
        false' \
    lib no_used_entry_is_slept_through
mutant 'the fence is the one that the kernel gave' ring.rs \
    '(self.fence)();' 'let _ = self.fence;' lib the_fence_is_the_one_that_was_given
mutant 'the loop heeds what the look finds' net.rs \
    'work |= self.rx.arm();' 'self.rx.arm();' traffic rearm_finds_what_came_in_between
mutant 'the kick test is modular' index.rs \
    'new.since(event.plus(1)) < new.since(old)' 'let _ = old; new.raw() >= event.plus(1).raw()' \
    lib need_event_for_every_index_and_batch
mutant 'a device that asks for a kick gets it' queue.rs \
    'if kicked {' 'if kicked && false {' traffic one_kick_per_batch '' \
    junk_and_oddities_cost_nothing

# The ledger against the device.
mutant 'a used id is a descriptor' ledger.rs \
    'self.owners.get_mut(id as usize) else' 'self.owners.get_mut(usize::from(id as u16)) else' \
    hostile lies_in_the_used_rings 'rx id whose low bits are right'
mutant 'a used descriptor is the device'"'"'s' ledger.rs \
    '*owner == DRIVER || *owner' '*owner' hostile lies_in_the_used_rings 'rx id' \
    false_ids_in_the_receive_ring_are_found_out
mutant 'a descriptor not yet published is not the device'"'"'s' ledger.rs \
    ' || *owner == self.batch' '' lib a_buffer_kept_for_long
mutant 'a used length holds the header' ledger.rs \
    'if len < shortest || len > longest' 'if len > longest' \
    hostile lies_in_the_used_rings 'rx length zero' \
    false_lengths_in_the_receive_ring_are_found_out
mutant 'a used length fits the buffer' ledger.rs \
    'if len < shortest || len > longest' 'if len < shortest' \
    hostile lies_in_the_used_rings 'rx length beyond the buffer by one' \
    false_lengths_in_the_receive_ring_are_found_out
mutant 'used.idx stays behind avail.idx' ledger.rs \
    'ahead > possible || ' 'ahead > possible.max(u16::MAX) || ' lib the_bounds_of_used_idx_for_every_index
mutant 'used.idx does not go back' ledger.rs \
    ' || ahead < self.seen.since(self.taken)' '' lib the_bounds_of_used_idx_for_every_index
mutant 'used.idx is held against the ledger on an idle ring' net/upkeep.rs \
    'self.rx.observe() {' 'Ok::<(), crate::BadUsed>(()) {' \
    hostile lies_in_the_used_rings 'rx used.idx back on an idle ring'
mutant 'a lie ends the use of the rings' net.rs \
    'self.ladder.fail(Cause::BadUsed {
            queue: direction.queue(),
            bad,
        });' 'let _ = Cause::Lost;' \
    hostile lies_in_the_used_rings
mutant 'books that do not balance are noticed' ledger.rs \
    'owned == usize::from(outstanding)' 'true' lib books_that_do_not_balance
mutant 'books that do not balance end in a reset' net/upkeep.rs \
    'if !holds {' 'if !holds && false {' lib books_that_do_not_balance_cost_a_reset

# Buffers.
mutant 'a frame that is dropped brings its buffer back' pool.rs \
    'self.pool.put_back(credit);' 'core::mem::forget(credit);' \
    traffic frames_dropped_late_and_in_any_order '' junk_and_oddities_cost_nothing
mutant 'buffers that came back are posted' net.rs \
    'self.rx.post_returned();' '' traffic wraps_again_and_again
mutant 'a runt brings its buffer back' net.rs \
    'self.runts += 1;' 'self.runts += 1; core::mem::forget(frame);' \
    traffic runts_and_empty_frames_lose_nothing
mutant 'sent buffers are free again' net.rs \
    'self.tx.release(credit)' 'drop(credit)' traffic transmit_full_and_back
mutant 'memory of a device that does not stop is kept' net.rs \
    'if bringup::reset(&mut self.transport).is_err() {' \
    'if bringup::reset(&mut self.transport).is_err() && false {' \
    traffic memory_of_a_device_that_does_not_stop

# First rung.
mutant 'an interrupt is acknowledged' interrupt.rs \
    'if status != 0 {' 'if status != 0 && false {' lib what_was_read_is_acknowledged
mutant 'unannounced entries are taken in' net/upkeep.rs \
    'if self.announcement.is_overdue(now, missing) {' \
    'if self.announcement.is_overdue(now, missing) && false {' \
    hostile notifications_that_go_wrong 'an interrupt lost' \
    a_missed_interrupt_is_made_up_for
mutant 'after a missed interrupt the driver looks by itself' net/upkeep.rs \
    'self.polls_until = now + DISTRUST_US;' 'let _ = DISTRUST_US;' \
    hostile notifications_that_go_wrong 'every interrupt lost for good'
mutant 'an interrupt on its way is not missed' recovery.rs \
    'let overdue = now - since >= UNANNOUNCED_US;' \
    'let overdue = now - since < UNANNOUNCED_US;' lib an_interrupt_on_its_way_is_not_missed

# Second rung.
mutant 'frames that lie untaken are kicked again' net/upkeep.rs \
    'Stalled::Rekick => self.rekick(Direction::Transmit)' 'Stalled::Rekick => {}' \
    hostile notifications_that_go_wrong 'a kick lost' \
    a_swallowed_kick_is_repeated
mutant 'a silent receive ring is kicked again' net/upkeep.rs \
    'Verdict::Rekick => self.rekick(Direction::Receive)' 'Verdict::Rekick => {}' \
    hostile rings_that_stand_still 'receive ring frozen until a reset' \
    a_swallowed_kick_is_repeated
mutant 'a link that is down is no stall' net/upkeep.rs \
    'let gap = if link_up { self.tx.gap() } else { 0 };' \
    'let _ = link_up; let gap = self.tx.gap();' \
    hostile devices_that_come_and_go 'its link goes down and up'

# The probe.
mutant 'a probe that went nowhere proves nothing' probe.rs \
    'target.is_some()
                    && view' 'view' lib a_probe_that_was_not_sent_is_no_evidence
mutant 'a probe that was not sent proves nothing' probe.rs \
    '
                    && view.sent_all' '' lib a_probe_that_was_not_sent_is_no_evidence
mutant 'silence without a buffer proves nothing' probe.rs \
    '
                    && view.can_receive' '' lib a_probe_that_was_not_sent_is_no_evidence
mutant 'silence without a link proves nothing' probe.rs \
    '
                    && view.link_up' '' lib a_link_that_flaps_is_no_dead_ring
mutant 'frames that wait are proof of life' probe.rs \
    '
                    && !view.waiting' '' lib a_probe_that_was_not_sent_is_no_evidence
mutant 'other traffic is proof of life' probe.rs \
    '
                    && view.received == received' '' lib other_traffic_is_proof_of_life
mutant 'an announcement is no question' probe.rs \
    '.filter(|asked| announced != Some(*asked))' '.filter(|_| announced.is_some())' \
    lib an_announcement_asks_for_nobody
mutant 'a gateway nothing is known of is asked at once' probe.rs \
    '(self.eager > 0 || idle >= QUIET_US)' '(idle >= QUIET_US)' \
    lib a_ring_that_dies_right_after_boot '' \
    a_receive_ring_that_freezes_right_after_boot_is_reset
mutant 'it is asked at once after a reset too' probe.rs \
    'self.trust = 0;
                self.eager = EAGER;' 'self.trust = 0;' lib a_ring_that_dies_twice
mutant 'without proof silence is patient' probe.rs \
    'if now - self.last_received_us.max(self.last_dead_us) < self.unproven_us {' 'if false {' \
    lib a_quiet_network_without_a_gateway
mutant 'and more patient each time' probe.rs \
    '(self.unproven_us * 2).min' '(self.unproven_us).min' lib a_quiet_network_without_a_gateway
mutant 'a gateway that went away is trusted no more' probe.rs \
    'self.trust = 0;
                self.eager' 'self.eager' lib a_gateway_that_goes_away_costs_a_few_resets

# Third rung.
mutant 'a transmit ring that stays frozen is reset' net/upkeep.rs \
    'Stalled::Dead => self.ladder.fail(Cause::TransmitStalled)' 'Stalled::Dead => {}' \
    hostile rings_that_stand_still 'transmit ring frozen until a reset' \
    a_frozen_ring_is_reset
mutant 'a receive ring that stays silent is reset' net/upkeep.rs \
    'Verdict::Dead => self.ladder.fail(Cause::ReceiveSilent)' 'Verdict::Dead => {}' \
    hostile rings_that_stand_still 'receive ring frozen until a reset' \
    a_frozen_ring_is_reset
mutant 'a device that asks for a reset gets it' net/upkeep.rs \
    'Standing::NeedsReset => self.ladder.fail(Cause::NeedsReset)' 'Standing::NeedsReset => {}' \
    events a_reset_tells_why '' \
    a_device_that_resets_itself_is_brought_up_again
mutant 'a device that reset itself is brought up' net/upkeep.rs \
    'Standing::Lost => self.ladder.fail(Cause::Lost)' 'Standing::Lost => {}' \
    hostile devices_that_come_and_go 'it says that it failed' \
    a_device_that_resets_itself_is_brought_up_again
mutant 'a device that is gone is noticed' net/upkeep.rs \
    'Standing::Gone => self.ladder.fail(Cause::Gone)' 'Standing::Gone => {}' \
    hostile devices_that_come_and_go 'it is gone for good'
mutant 'a reset takes the receive buffers back' net/upkeep.rs \
    'self.rx.reclaim();' '' hostile lies_in_the_used_rings
mutant 'a reset takes the transmit buffers back' net/upkeep.rs \
    'self.tx.reclaim();' '' hostile rings_that_stand_still
mutant 'a reset leaves buffers that frames hold with them' ledger.rs \
    'if *owner != DRIVER {
                *owner = DRIVER;' '{
                *owner = DRIVER;' lib credits_over_a_reset
mutant 'a reset starts the indices anew' ledger.rs \
    '        self.seen = RingIndex::ZERO;
        self.taken = RingIndex::ZERO;
    }' '    }' hostile lies_in_the_used_rings
mutant 'a reset clears the ring' queue.rs \
    'self.ring.clear();' '' hostile devices_that_come_and_go
mutant 'a reset writes the descriptors anew' queue.rs \
    'for id in 0..self.size() {' 'for id in 0..self.size() * u16::from(self.ledger.harvested() == 0) {' \
    hostile devices_that_come_and_go 'it scribbles over descriptors'
mutant 'the wait for a reset is bounded' bringup.rs \
    'const RESET_READS: u32 = 10_000;' 'const RESET_READS: u32 = 1_000_000;' \
    hostile devices_that_come_and_go 'reads in one beat'
mutant 'a queue that survived the reset is refused' bringup.rs \
    'if transport.queue_used(number) {' 'if transport.queue_used(number) && false {' \
    hostile devices_that_come_and_go 'its queues survive a reset'
mutant 'a queue that shrank is refused' bringup.rs \
    'if transport.max_queue_size(number) < u32::from(queue.size()) {' 'if false {' \
    hostile devices_that_come_and_go 'it has no queues any more'
mutant 'features that nobody understands are refused' bringup.rs \
    'transport.read_device_features() & UNDERSTOOD' 'transport.read_device_features()' \
    hostile devices_that_come_and_go
mutant 'the device has to accept the features' bringup.rs \
    'if !transport.get_status().contains(status) {' 'if false {' \
    hostile modern_devices_that_refuse
mutant 'the device has to start' bringup.rs \
    'Standing::NeedsReset | Standing::Lost => Err(NetError::NotLive)' \
    'Standing::NeedsReset | Standing::Lost => Ok(())' \
    hostile devices_that_are_refused_at_boot
mutant 'a configuration that changes is read again' bringup.rs \
    'if transport.read_config_generation() == before {' 'if before == before {' \
    hostile devices_that_come_and_go 'its configuration never stands still'
mutant 'a group address is refused' bringup.rs \
    ' && mac[0] & 1 == 0' '' hostile devices_that_come_and_go "its address became a group's"
mutant 'an MTU beyond the buffers is refused' bringup.rs \
    '(SMALLEST_MTU..=LARGEST_FRAME - ETHERNET_HEADER).contains(&mtu)' 'mtu > 0' offload the_mtu

# Fourth rung.
mutant 'resets in a row end' recovery.rs \
    'if self.strikes >= STRIKES {' 'if self.strikes >= STRIKES && false {' \
    hostile rings_that_stand_still 'transmit ring frozen for good' \
    a_device_that_never_comes_back_is_given_up_with_a_reason
mutant 'resets in a row are spaced' recovery.rs \
    'if self.strikes > 0 && quiet' 'if false && quiet' lib failing_resets_back_off_and_end
mutant 'resets that help do not add up' recovery.rs \
    'self.strikes = 0;
        }
        let Some' '}
        let Some' lib resets_that_help_do_not_add_up
mutant 'a reset that lasted is forgotten' recovery.rs \
    'if quiet >= LASTING_US {' 'if false {' lib a_reset_that_lasted_is_forgotten
mutant 'the end is the end' recovery.rs \
    'if let Some(end) = self.end {' 'if let Some(end) = self.end.filter(|_| false) {' \
    lib the_end_is_the_end
mutant 'a stopped machine is no evidence' recovery.rs \
    '.min(self.pause_us + LATE_US)' '' lib time_does_not_jump

# Long segments.
mutant 'a slot that had a table is described anew' queue.rs \
    'Some(gathered) if *gathered => {' 'Some(gathered) if *gathered && id > 1000 => {' \
    offload a_long_segment_is_read_where_it_lies
mutant 'no long segment for a device that does not cut' net.rs \
    '&& !self.session.tx_cut {' '&& !self.session.tx_cut && len == 0 {' \
    offload a_device_without_all_that_it_takes_gets_no_long_segment
mutant 'the table keeps its place in the slot' net.rs \
    'false => MOST_GATHERED - MODERN,' 'false => usize::from(LARGEST_FRAME),' \
    offload a_head_that_leaves_no_room_for_the_table_is_refused

printf '%d caught, %d survived\n' "$caught" "$survived"
[ "$survived" -eq 0 ]
