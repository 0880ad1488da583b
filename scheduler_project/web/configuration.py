"""What gunicorn has to know before there is Django."""

import os

from scheduler_project.env import Env

#: For how long a connection may be idle. Longer than load balancers keep theirs (AWS 60 s, nginx 60 s): whoever closes
#: first may do so just as the other sends a request. Google's keeps them for 600 s.
KEEP_ALIVE_SECONDS = Env(os.environ).integer("HOURHAND_KEEP_ALIVE_SECONDS", 90, minimum=1, maximum=3600)
