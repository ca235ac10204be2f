"""A program of quixstreams that copies a topic exactly once. It runs in that library's own environment, not in ours:

    python quixstreams_copy.py <bootstrap> <source> <target> <every> <count>

It prints one line of JSON for every `every` messages: how many so far, seconds by the clock and of the processor.
"""

import json
import sys
import time

from quixstreams import Application  # type: ignore[import-not-found, unused-ignore]


def main(bootstrap: str, source: str, target: str, every: int, count: int) -> None:
    """Copies `count` messages, `every` a transaction."""
    began, done = time.perf_counter(), 0

    def processed(topic: str, partition: int, offset: int) -> None:
        nonlocal done
        done += 1
        if done % every == 0:
            print(json.dumps([done, time.perf_counter() - began, time.process_time()]), flush=True)

    app = Application(
        broker_address=bootstrap,
        consumer_group=f"{target}.copy",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_every=every,
        commit_interval=60,
        auto_create_topics=False,
        use_changelog_topics=False,
        on_message_processed=processed,
        loglevel="ERROR",
    )
    forms = {f"{part}_{way}": "bytes" for part in ("key", "value") for way in ("serializer", "deserializer")}
    app.dataframe(app.topic(source, **forms)).to_topic(app.topic(target, **forms))
    app.run(count=count)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
