"""Runs a script on a terminal of its own and answers what it asks there: terminal.py SCRIPT ANSWER...

Each answer is typed when a question is waiting with the echo off, as programs ask for passphrases; of @FILE that is the first
line. Ends as the script ends; fails if it asks too little, too much or nothing for a minute.
"""

import sys

import pexpect

QUESTION = r"[^\r\n]+:\s*"
SECONDS = 60


def typed(answer: str) -> str:
    if not answer.startswith("@"):
        return answer
    with open(answer[1:]) as file:
        return file.readline().rstrip("\n")


def main(script: str, *answers: str) -> int:
    bash = pexpect.spawn("bash", ["-euo", "pipefail", script], encoding="utf-8", timeout=SECONDS)
    bash.logfile_read = sys.stdout
    try:
        for answer in answers:
            bash.expect(QUESTION)
            if not bash.waitnoecho():
                raise pexpect.TIMEOUT(f"asks for no secret: {bash.after}")
            bash.sendline(typed(answer))
        bash.expect(pexpect.EOF)
    except pexpect.ExceptionPexpect as failure:
        print(f"\nterminal.py: {failure.value.splitlines()[0]}", file=sys.stderr)
        return 1
    finally:
        bash.close()
    return 128 + bash.signalstatus if bash.exitstatus is None else bash.exitstatus


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
