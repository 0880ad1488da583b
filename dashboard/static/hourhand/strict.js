"use strict";
// Neither is used, and the Content-Security-Policy forbids both: htmx's style element and evaluated attributes.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;
