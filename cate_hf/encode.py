"""Encode a table of any size, by one process or several.

    accelerate launch -m cate_hf.encode --input F.parquet --model NAME_OR_FOLDER --output ENCODINGS.parquet

It writes what `cate encode` writes. Memory does not grow with the table, and a run that was killed goes on when the
same command is given again.
"""

import argparse
import os
import signal
import sys
from datetime import timedelta

from cate_hf.core._console import any_console
from cate_hf.core._interruption import INTERRUPTED
from cate_hf.core._launching import LineParser, check_launch, check_sharding, share_threads

__all__ = ["main"]

_WAITING = timedelta(days=30)  # the processes that are done wait for the others


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = LineParser(
        prog="accelerate launch -m cate_hf.encode",
        description="Write the encodings of a table of any size, by all processes of the launch.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--input", help="Parquet, JSON or CSV file of architectures; Parquet is read by parts")
    source.add_argument("--space", help="encode all architectures of this search space")
    parser.add_argument("--model", required=True, help="name of a bundled checkpoint, or a folder")
    parser.add_argument("--output", required=True, help="Parquet file, or a folder of them, to write")
    parser.add_argument("--batch-size", type=int, default=1024, help="architectures at a time (default: 1024)")
    parser.add_argument(
        "--precision", default="float32", help="float32, or bfloat16: about twice as fast, and less exact"
    )
    parser.add_argument("--shard-rows", type=int, help="rows of a shard (default: at most 65,536, by the table)")
    parser.add_argument("--cpu", action="store_true", help="stay on the CPU")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the output, and an unfinished run with other settings"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, run, and turn bad input into one line and exit code 2."""
    any_console()
    options = parse(argv)
    from accelerate import Accelerator
    from accelerate.utils import InitProcessGroupKwargs

    from cate_hf.core._names import one_line
    from cate_hf.encodings.sharded import encode_sharded

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a launcher ends its processes by it
    main_process = int(os.environ.get("RANK", "0")) == 0
    try:
        check_sharding()
        accelerator = Accelerator(cpu=options.cpu, kwargs_handlers=[InitProcessGroupKwargs(timeout=_WAITING)])
        check_launch(accelerator)
        share_threads(accelerator)
        rows, dim = encode_sharded(
            options.model,
            options.output,
            accelerator,
            options.space,
            options.input,
            options.batch_size,
            options.shard_rows,
            options.overwrite,
            progress=True,
            precision=options.precision,
        )
        accelerator.end_training()
    except KeyboardInterrupt:
        if main_process:
            print("interrupted; the same command goes on with what is there", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError) as error:
        if os.environ.get("CATE_DEBUG"):
            raise
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    if accelerator.is_main_process:
        print(f"wrote {options.output}: {rows:,} encodings of {dim} numbers by {options.model}")
    return 0


if __name__ == "__main__":
    code = main()
    if "WORLD_SIZE" in os.environ:  # all is written; threads of libraries have been seen to abort a process that ends
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
