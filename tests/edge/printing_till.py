"""A till for tests that kill it: it sells with paper, prints beside that, and says each sale when it is durable."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from drivers.escpos.code_page import PAPER_58MM
from drivers.escpos.picture import Typeface
from drivers.escpos.printer import ReceiptPrinter
from drivers.link import BackOff, link_from_address
from edge.node import Node
from edge.print_jobs import JobState, answer, jobs
from edge.print_queue import PrintQueue
from edge.selling import complete_sale
from tests.edge.paper_shops import COLA, NOODLES, lines_of


def main(directory: str, address: str, sales: int) -> None:
    """Sell so often, then print until nothing waits; what is unknown is said not to be on paper."""
    printer = ReceiptPrinter(
        link_from_address(address), PAPER_58MM, typeface=Typeface(None, None), back_off=BackOff(0.01, 0.05)
    )
    with Node(Path(directory)) as node:
        queue = PrintQueue(Path(directory), printer)
        queue.start()
        print("ready", flush=True)
        for place in range(sales):
            sold = complete_sale(node, lines_of(node, (COLA, 1000), (NOODLES, 1000 * (1 + place % 3))), prints=True)
            print(sold.receipt_number, flush=True)
            queue.wake()
            time.sleep(0.02)
        if not sales:
            while waiting := jobs(node.connection, JobState.WAITING, JobState.PRINTING, JobState.UNKNOWN):
                for job in waiting:
                    if job.state is JobState.UNKNOWN:
                        answer(node, job.job, was_printed=False)
                queue.wake()
                time.sleep(0.05)
        else:
            time.sleep(60)
        queue.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
