"""TLS before a server, as conf/nginx-connect.conf has it."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from .service import Service, folder_of, free_port, program

# What Debian's nginx has below /run and /var, where root alone writes.
OF_ITS_OWN = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

# Not localhost, which clients speak to without TLS.
ADDRESS = "127.0.0.1"


class Nginx(Service):
    """The configuration and a certificate; the page starts nginx itself."""

    pid_file: Path | None = None

    def start(self, page) -> dict[str, str]:
        program("nginx", "nginx-light")
        folder = folder_of(page, "nginx")
        self.pid_file = folder / "pid"
        port = str(free_port())
        places = {"/etc/fhe-spark": str(folder), "sc://HOST:15443": f"sc://{ADDRESS}:{port}", "15443": port}
        self.certify(folder)
        page.places |= places
        configuration = page.folder / "conf" / "nginx-connect.conf"
        temporary = "".join(f"  {name}_temp_path {folder}/{name};\n" for name in OF_ITS_OWN)
        head = f"pid {self.pid_file};\nerror_log {folder}/error.log;\n"
        redirected = page.redirect(configuration.read_text())
        configuration.write_text(head + redirected.replace("http {\n", f"http {{\n{temporary}", 1))
        return places

    @staticmethod
    def certify(folder: Path) -> None:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={ADDRESS}"]
            + ["-addext", f"subjectAltName=IP:{ADDRESS}", "-keyout", folder / "server.key", "-out", folder / "server.crt"],
            check=True,
            capture_output=True,
        )

    def close(self) -> None:
        if self.pid_file and self.pid_file.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self.pid_file.read_text()), signal.SIGTERM)
