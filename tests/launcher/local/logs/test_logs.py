"""The job's log and its metrics."""

from __future__ import annotations

import math

from launcher.local.logs.lines import MAX_LINE_BYTES, LineAssembler


def assembled(*chunks):
    """Lines of chunks that come a second apart."""
    assembler = LineAssembler()
    lines = [line for second, chunk in enumerate(chunks, 1) for line in assembler.feed(chunk, float(second))]
    return lines + assembler.end()


def test_lines_are_cut_at_their_ends_wherever_the_chunks_are():
    content = b"one\ntwo\r\n\nthree"
    for cut in range(len(content)):
        assert assembled(content[:cut], content[cut:]) == [b"one", b"two", b"", b"three"]


def test_a_progress_bar_leaves_its_last_state():
    assert assembled(b"10%\r20%\r100%\ndone\n") == [b"100%", b"done"]
    assert assembled(b"\r10%\r20%") == [b"20%"]


def test_a_long_progress_bar_is_seen_every_two_seconds():
    bar = [f"\r{step}%".encode() for step in range(1, 8)]
    assert assembled(*bar, b"\nend\n") == [b"1%", b"3%", b"5%", b"7%", b"end"]


def test_a_line_without_an_end_does_not_grow_for_ever():
    lines = assembled(b"x" * (3 * MAX_LINE_BYTES + 5))
    assert [len(line) for line in lines] == [MAX_LINE_BYTES] * 3 + [5]


def test_A113_A116_A117_A119_a_jobs_lines_and_metrics_are_there_while_it_runs(cloud):
    job = cloud.job(
        "import os, sys, time\n"
        "os.write(1, b'half ')\nos.write(2, b'line\\n')\n"
        "os.write(1, b'\\xff\\xfe\\n')\n"
        "for step in range(3):\n"
        "    print(f'\\rstep {step}', end='', flush=True)\n"
        "print()\n"
        "print('loss=0.25')\n"
        "while not os.path.exists(os.environ['SM_MODEL_DIR'] + '/go'): time.sleep(0.05)\n"
        "print('loss=0.125')\n"
        "sys.stdout.write('no end')\n",
        AlgorithmSpecification={"MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]},
    ).start()
    job.wait_for_line("loss=0.25")
    cloud.wait_until(lambda: bool(job.record.metrics), "the metric is in the record")
    assert job.record.metrics[0].value == 0.25
    stream = job.record.log_stream
    assert stream.startswith(f"{job.name}/algo-1-")
    (job.ml / "model" / "go").touch()
    record = job.wait()
    assert job.lines == ["half line", "\ufffd\ufffd", "step 2", "loss=0.25", "loss=0.125", "no end"]
    assert [(metric.name, metric.value) for metric in record.metrics] == [("loss", 0.125)]
    assert math.isclose(record.metrics[0].at, record.ended_at, abs_tol=5)


def test_A117_a_job_that_says_nothing_has_no_stream(cloud):
    job = cloud.job("").start()
    assert job.wait().log_stream is None


def test_all_of_a_long_log_is_there_before_the_job_is_over(cloud):
    job = cloud.job("for number in range(100_000): print(number)").start()
    job.wait()
    assert job.lines == [str(number) for number in range(100_000)]
