/* eventLogging: sends events of a page; docs/clients.md says how. No dependencies. */
( function () {
	'use strict';
	var config = { url: '/beacon/event', maxUrl: 2000, delay: 1000, respectDnt: false, wiki: location.hostname },
		schemas = {},
		queue = [],
		page = Math.random(),
		session = Math.random(),
		timer = null,
		noop = function () {};

	try {
		session = +( sessionStorage.eventLogging = sessionStorage.eventLogging || session );
	} catch ( e ) { /* no storage: each page is a session */ }

	function refused() {
		return config.respectDnt && ( navigator.doNotTrack === '1' || navigator.globalPrivacyControl === true );
	}

	function within( token, rate ) {
		return rate === undefined || token < rate;
	}

	function post( body, leaving ) {
		if ( navigator.sendBeacon && navigator.sendBeacon( config.url, body ) ) {
			return;
		}
		fetch( config.url, { method: 'POST', body: body, mode: 'no-cors', credentials: 'omit', keepalive: leaving } )
			.catch( noop );
	}

	function get( url ) {
		if ( window.fetch ) {
			fetch( url, { mode: 'no-cors', credentials: 'omit', cache: 'no-store', keepalive: true } ).catch( noop );
		} else {
			new Image().src = url;
		}
	}

	function flush( leaving ) {
		var events = queue;
		clearTimeout( timer );
		timer = null;
		queue = [];
		events.forEach( function ( text ) {
			var url = config.url + '?' + encodeURIComponent( text ) + ';';
			if ( url.length > config.maxUrl ) {
				post( text, leaving );
			} else if ( !( leaving && navigator.sendBeacon && navigator.sendBeacon( url ) ) ) {
				get( url );
			}
		} );
	}

	function leave() {
		flush( true );
	}

	document.addEventListener( 'visibilitychange', function () {
		if ( document.visibilityState === 'hidden' ) {
			leave();
		}
	} );
	addEventListener( 'pagehide', leave );

	window.eventLogging = {
		/* options: url, maxUrl (characters), delay (ms), respectDnt, wiki */
		configure: function ( options ) {
			Object.assign( config, options );
		},
		/* options: defaults (fields), session and page (share of them that is sent, 0 to 1) */
		declareSchema: function ( name, revision, options ) {
			schemas[ name ] = Object.assign( { revision: revision }, options );
		},
		/* whether an event of the schema would be sent from this page */
		inSample: function ( name ) {
			var schema = schemas[ name ];
			return !!schema && within( session, schema.session ) && within( page, schema.page );
		},
		/* true: sent, or about to be */
		logEvent: function ( name, event ) {
			var schema = schemas[ name ];
			if ( !schema ) {
				console.warn( 'eventLogging: schema ' + name + ' is not declared' );
			}
			if ( refused() || !this.inSample( name ) ) {
				return false;
			}
			queue.push( JSON.stringify( {
				event: Object.assign( {}, schema.defaults, event ),
				revision: schema.revision,
				schema: name,
				webHost: location.hostname,
				wiki: config.wiki
			} ) );
			if ( document.visibilityState === 'hidden' ) {
				leave();
			} else if ( timer === null ) {
				timer = setTimeout( flush, config.delay );
			}
			return true;
		},
		flush: function () {
			flush();
		}
	};
}() );
